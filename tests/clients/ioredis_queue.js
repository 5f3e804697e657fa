// redis_py_queue.py's queue with ioredis as it comes: `ioredis_queue.js add|work HOST PORT [PACKAGE]`.
'use strict';
const { setTimeout: sleep } = require('timers/promises');

const [what, host, port, name = 'ioredis'] = process.argv.slice(2);
const Redis = require(name);

async function add(redis) {
  for (let number = 0; ; await sleep(20)) {
    try {
      await redis.lpush(`${name}:jobs`, number);
      console.log('added', number++);
    } catch (error) {
      console.log('error', error.message);
    }
  }
}

async function work(redis) {
  for (;;) {
    try {
      const job = await redis.blmove(`${name}:jobs`, `${name}:underway`, 'RIGHT', 'LEFT', 1);
      if (job !== null) {
        console.log('done', job);
        await redis.lrem(`${name}:underway`, 1, job);
      } else {
        await redis.lmove(`${name}:underway`, `${name}:jobs`, 'LEFT', 'RIGHT');
      }
    } catch (error) {
      console.log('error', error.message);
    }
  }
}

const redis = new Redis(Number(port), host);
redis.on('error', (error) => console.log('error event:', error.message));
({ add, work })[what](redis);
