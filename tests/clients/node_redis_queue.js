// redis_py_queue.py's queue with node-redis as it comes: `node_redis_queue.js add|work HOST PORT [PACKAGE]`.
'use strict';
const { setTimeout: sleep } = require('timers/promises');

const [what, host, port, name = 'redis'] = process.argv.slice(2);
const { createClient } = require(name);

async function add(redis) {
  for (let number = 0; ; await sleep(20)) {
    try {
      await redis.lPush(`${name}:jobs`, String(number));
      console.log('added', number++);
    } catch (error) {
      console.log('error', error.message);
    }
  }
}

async function work(redis) {
  for (;;) {
    try {
      const job = await redis.blMove(`${name}:jobs`, `${name}:underway`, 'RIGHT', 'LEFT', 1);
      if (job !== null) {
        console.log('done', job);
        await redis.lRem(`${name}:underway`, 1, job);
      } else {
        await redis.lMove(`${name}:underway`, `${name}:jobs`, 'LEFT', 'RIGHT');
      }
    } catch (error) {
      console.log('error', error.message);
    }
  }
}

async function main() {
  const redis = createClient({ url: `redis://${host}:${port}` });
  redis.on('error', (error) => console.log('error event:', error.message));
  await redis.connect();
  await ({ add, work })[what](redis);
}

main();
