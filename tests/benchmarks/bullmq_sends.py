"""BullMQ's Python port as a peer: the same text messages to the same provider, through the same Redis.

Its worker posts each job over one of three clients: httpx, which most of its users would take; aiohttp, as our sender
does; and bare sockets, where nothing but the queue is left to measure.
"""

import json
import subprocess

from tests.benchmarks.peers import peer_python

CLIENTS = ("httpx", "aiohttp", "bare sockets")
# What runs in that environment: fills a queue, then times a worker until it is empty.
PROGRAM = """
import asyncio, base64, json, sys, time
from urllib.parse import urlencode
import aiohttp, httpx
from bullmq import Queue, Worker
url, jobs, at_once, port, client = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
path = "/2010-04-01/Accounts/AC0123456789/Messages.json"
headers = {"Authorization": "Basic " + base64.b64encode(b"AC0123456789:secret").decode()}
class Httpx:
    async def __aenter__(self):
        limits = httpx.Limits(max_connections=at_once, max_keepalive_connections=at_once)
        self.client = httpx.AsyncClient(headers=headers, limits=limits, trust_env=False)
        return self
    async def __aexit__(self, *_):
        await self.client.aclose()
    async def post(self, form):
        return (await self.client.post(f"http://127.0.0.1:{port}{path}", data=form)).raise_for_status().json()
class Aiohttp:
    async def __aenter__(self):
        self.session = aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(limit=at_once))
        return self
    async def __aexit__(self, *_):
        await self.session.close()
    async def post(self, form):
        async with self.session.post(f"http://127.0.0.1:{port}{path}", data=form, raise_for_status=True) as response:
            return await response.json()
class Bare:
    idle = []
    async def __aenter__(self):
        return self
    async def __aexit__(self, *_):
        pass
    async def post(self, form):
        reader, writer = self.idle.pop() if self.idle else await asyncio.open_connection("127.0.0.1", port)
        body = urlencode(form)
        writer.write((f"POST {path} HTTP/1.1\\r\\nHost: peer\\r\\nAuthorization: {headers['Authorization']}\\r\\n"
            f"Content-Type: application/x-www-form-urlencoded\\r\\nContent-Length: {len(body)}\\r\\n\\r\\n"
            f"{body}").encode())
        head = await reader.readuntil(b"\\r\\n\\r\\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\\r\\n")[0])
        answer = json.loads(await reader.readexactly(length))
        self.idle.append((reader, writer))
        return answer
async def main():
    queue, done, count = Queue("sends", {"connection": url}), asyncio.Event(), 0
    options = {"removeOnComplete": True}
    text = "Your parcel ORDER-1042 from Chai & Co was delivered at 15:42."
    for start in range(0, jobs, 500):
        await queue.addBulk([{"name": "send", "opts": options,
            "data": {"To": f"+9198{number:08}", "From": "+15005550006", "Body": text}}
            for number in range(start, min(start + 500, jobs))])
    async with {"httpx": Httpx, "aiohttp": Aiohttp, "bare sockets": Bare}[client]() as provider:
        async def handle(job, token):
            nonlocal count
            sid = (await provider.post(job.data))["sid"]
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


def sends_per_s(redis_url: str, jobs: int, at_once: int, port: int, client: str) -> float:
    """Return how many messages a second one worker process sends over one of CLIENTS, with this many at once."""
    python = peer_python("bench-queue", "bullmq")
    command = [str(python), "-c", PROGRAM, redis_url, str(jobs), str(at_once), str(port), client]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return float(json.loads(done.stdout.splitlines()[-1])["sends_per_s"])
