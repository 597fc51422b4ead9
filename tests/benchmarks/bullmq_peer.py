"""BullMQ's Python port as a peer: the same number of jobs that do nothing, on the same Redis."""

import json
import subprocess

from tests.benchmarks.peers import peer_python

# What runs in that environment: fills a queue, then times a worker until it is empty.
PROGRAM = """
import asyncio, json, sys, time
from bullmq import Queue, Worker
url, jobs, at_once = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
async def main():
    queue, done, count = Queue("peer", {"connection": url}), asyncio.Event(), 0
    options = {"removeOnComplete": True}
    content = {"event": sys.argv[4]}
    for start in range(0, jobs, 500):
        await queue.addBulk([{"name": "job", "data": content, "opts": options} for _ in range(min(500, jobs - start))])
    async def handle(job, token):
        nonlocal count
        count += 1
        if count == jobs:
            done.set()
    started = time.perf_counter()
    worker = Worker("peer", handle, {"connection": url, "concurrency": at_once})
    await done.wait()
    seconds = time.perf_counter() - started
    await worker.close()
    await queue.close()
    print(json.dumps({"jobs_per_s": jobs / seconds}))
asyncio.run(main())
"""


def jobs_per_s(redis_url: str, jobs: int, content: str, at_once: int) -> float:
    """Return how many jobs a second one worker process does, with this many at once."""
    python = peer_python("bench-queue", "bullmq")
    command = [str(python), "-c", PROGRAM, redis_url, str(jobs), str(at_once), content]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return float(json.loads(done.stdout.splitlines()[-1])["jobs_per_s"])
