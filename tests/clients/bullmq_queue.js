// A queue of BullMQ's: `bullmq_queue.js add|work HOST PORT`. `add` adds jobs 0, 1, 2, ... until it is ended ("added N"), `work` does
// them ("done N"). What BullMQ reports as an error is told.
'use strict';
const { setTimeout: sleep } = require('timers/promises');
const { Queue, Worker } = require('bullmq');

const [what, host, port] = process.argv.slice(2);
const connection = { host, port: Number(port) };
const tell = (error) => console.log('error event:', error.message);

async function add() {
  const queue = new Queue('jobs', { connection });
  queue.on('error', tell);
  for (let number = 0; ; await sleep(20)) {
    try {
      await queue.add('job', { number });
      console.log('added', number++);
    } catch (error) {
      console.log('error', error.message);
    }
  }
}

function work() {
  const worker = new Worker('jobs', async (job) => console.log('done', job.data.number), { connection });
  worker.on('error', tell);
  worker.on('failed', (job, error) => tell(error));
}

({ add, work })[what]();
