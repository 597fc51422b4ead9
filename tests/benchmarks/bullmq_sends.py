"""BullMQ's Python port as a peer: the same text messages to the same provider, through the same Redis."""

import json
import subprocess

from tests.benchmarks.peers import peer_python

# What runs in that environment: fills a queue, then times a worker that posts each job as our sender does. Its HTTP is
# as cheap as can be, so that the queue is what is measured.
PROGRAM = """
import asyncio, base64, json, sys, time
from urllib.parse import urlencode
from bullmq import Queue, Worker
url, jobs, at_once, port = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
auth = base64.b64encode(b"AC0123456789:secret").decode()
idle = []
async def post(form):
    reader, writer = idle.pop() if idle else await asyncio.open_connection("127.0.0.1", port)
    body = urlencode(form)
    writer.write((f"POST /2010-04-01/Accounts/AC0123456789/Messages.json HTTP/1.1\\r\\nHost: peer\\r\\n"
        f"Authorization: Basic {auth}\\r\\nContent-Type: application/x-www-form-urlencoded\\r\\n"
        f"Content-Length: {len(body)}\\r\\n\\r\\n{body}").encode())
    head = await reader.readuntil(b"\\r\\n\\r\\n")
    answer = json.loads(await reader.readexactly(int(head.lower().split(b"content-length:")[1].split(b"\\r\\n")[0])))
    idle.append((reader, writer))
    return answer["sid"]
async def main():
    queue, done, count = Queue("sends", {"connection": url}), asyncio.Event(), 0
    options = {"removeOnComplete": True}
    text = "Your parcel ORDER-1042 from Chai & Co was delivered at 15:42."
    for start in range(0, jobs, 500):
        await queue.addBulk([{"name": "send", "opts": options,
            "data": {"To": f"+9198{number:08}", "From": "+15005550006", "Body": text}}
            for number in range(start, min(start + 500, jobs))])
    async def handle(job, token):
        nonlocal count
        sid = await post(job.data)
        count += 1
        if count == jobs:
            done.set()
        return sid
    started = time.perf_counter()
    worker = Worker("sends", handle, {"connection": url, "concurrency": at_once})
    await done.wait()
    seconds = time.perf_counter() - started
    await worker.close()
    await queue.close()
    print(json.dumps({"sends_per_s": jobs / seconds}))
asyncio.run(main())
"""


def sends_per_s(redis_url: str, jobs: int, at_once: int, port: int) -> float:
    """Return how many messages a second one worker process sends, with this many at once."""
    python = peer_python("bench-queue", "bullmq")
    command = [str(python), "-c", PROGRAM, redis_url, str(jobs), str(at_once), str(port)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return float(json.loads(done.stdout.splitlines()[-1])["sends_per_s"])
