// No-op jobs from end to end with BullMQ: pushed in bulk while one worker of the given concurrency
// runs them. Prints one line of JSON. Usage: run.mjs PORT JOBS CONCURRENCY PRODUCERS
import { Queue, Worker } from 'bullmq';

const [port, jobs, concurrency, producers] = process.argv.slice(2).map(Number);
const connection = { host: '127.0.0.1', port, maxRetriesPerRequest: null };
const atOnce = 1000;
// What is done goes at once: the fastest it offers.
const defaultJobOptions = { removeOnComplete: true, removeOnFail: true };

async function endToEnd() {
  const queue = new Queue('bench', { connection, defaultJobOptions });
  let done = 0;
  let finish;
  const all = new Promise((resolve) => (finish = resolve));
  const worker = new Worker('bench', async () => {}, { connection, concurrency });
  worker.on('completed', () => ++done === jobs && finish());
  await Promise.all([queue.waitUntilReady(), worker.waitUntilReady()]);
  const start = performance.now();
  for (let pushed = 0; pushed < jobs; pushed += atOnce) {
    await queue.addBulk(Array.from({ length: atOnce }, () => ({ name: 'nothing', data: {} })));
  }
  const pushedMs = performance.now() - start;
  await all;
  const doneMs = performance.now() - start;
  await worker.close();
  await queue.obliterate({ force: true });
  await queue.close();
  return { pushed: (jobs / pushedMs) * 1000, done: (jobs / doneMs) * 1000 };
}

async function single() {
  const queue = new Queue('single', { connection, defaultJobOptions });
  await queue.waitUntilReady();
  const took = [];
  const produce = async () => {
    for (let n = 0; n < 200; n++) {
      const start = performance.now();
      await queue.add('nothing', {});
      took.push(performance.now() - start);
    }
  };
  await Promise.all(Array.from({ length: producers }, produce));
  took.sort((a, b) => a - b);
  await queue.obliterate({ force: true });
  await queue.close();
  const at = (share) => took[Math.min(took.length - 1, Math.floor(took.length * share))];
  return { p50: at(0.5), p99: at(0.99) };
}

console.log(JSON.stringify({ ...(await endToEnd()), single: await single() }));
process.exit(0);
