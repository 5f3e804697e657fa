// Writes COUNT keys through the proxy at HOST PORT, one after the other, and reads them back; prints what it saw as JSON.
// Retries are off: a write whose outcome is unknown is an error, and the client goes on with the next key.
'use strict';
const Redis = require('ioredis');

const [host, port, count] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];

async function main() {
  const redis = new Redis({ host, port, maxRetriesPerRequest: 0, retryStrategy: () => 10, enableOfflineQueue: true });
  redis.on('error', () => {});  // told by the command that fails, too
  await redis.ping();
  console.log('writing');
  const acknowledged = [];
  const errors = [];
  for (let i = 0; i < count; i++) {
    try {
      await redis.set(`node:${i}`, i);
      acknowledged.push(i);
    } catch (error) {
      errors.push(error.message);
      if (redis.status !== 'ready') await new Promise((resolve) => redis.once('ready', resolve));
    }
  }
  const values = await redis.mget(acknowledged.map((i) => `node:${i}`));
  const readBack = values.filter((value, index) => value === String(acknowledged[index])).length;
  console.log(JSON.stringify({ acknowledged: acknowledged.length, errors, readBack }));
  redis.disconnect();
}

main();
