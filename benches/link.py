"""A TCP proxy that imitates a long and narrow line.

Each way takes half of the round trip, a new connection one whole round trip more, and each direction carries so many bytes
per second, shared by all connections. Neither loss nor slow start is imitated. What passes is looked at every TICK seconds,
and goes by splice(2) from one socket to the other: its bytes are never copied here, so that the proxy takes little of the
cores it shares with those it stands between. Needs Linux.
"""

import collections
import contextlib
import fcntl
import multiprocessing
import os
import select
import socket
import time

TICK = 0.002
CHUNK = 1 << 20
# Seconds of traffic that may wait before the line, so that it does not fall idle while this process waits for a core.
QUEUE = 0.05
# What one connection may have on the line, in each direction: as much as all may where this process is allowed to.
PIPES = 16 << 20, 1 << 20


class Line:
    """One direction of the line: when bytes handed over now will have arrived. Shared by all connections."""

    def __init__(self, bytes_per_second, delay):
        self.speed, self.delay = bytes_per_second, delay
        self.free, self.carried = 0.0, 0
        self.by_second = collections.Counter()  # bytes that left, by seconds of the clock

    def is_full(self, now):
        return self.free - now > QUEUE

    def send(self, now, count):
        """When they will be there."""
        self.free = max(self.free, now) + count / self.speed
        self.carried += count
        self.by_second[int(self.free)] += count
        return self.free + self.delay


class Way:
    """One direction of one connection."""

    def __init__(self, source, target, line, opens):
        self.source, self.target, self.line, self.opens = source, target, line, opens
        self.far, self.near = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        for size in PIPES:
            with contextlib.suppress(OSError):
                fcntl.fcntl(self.near, fcntl.F_SETPIPE_SZ, size)
                break
        self.on_the_line = collections.deque()  # times at which bytes arrive, and how many; none at the end
        self.ended = False

    def take(self, now):
        """Takes from the source what is there and the line has room for; false if that is nothing."""
        if self.ended or now < self.opens or self.line.is_full(now):
            return False
        try:
            count = os.splice(self.source.fileno(), self.near, CHUNK, flags=os.SPLICE_F_NONBLOCK | os.SPLICE_F_MOVE)
        except BlockingIOError:
            return False
        except OSError:
            count = 0  # what it sent before is on the line
        self.ended = count == 0
        self.on_the_line.append((self.line.send(now, count), count))
        return not self.ended

    def give(self, now):
        """Gives to the target what has arrived; true when that was the end."""
        while self.on_the_line and self.on_the_line[0][0] <= now:
            due, count = self.on_the_line.popleft()
            if count == 0:
                with contextlib.suppress(OSError):
                    self.target.shutdown(socket.SHUT_WR)
                return True
            try:
                gone = os.splice(self.far, self.target.fileno(), count, flags=os.SPLICE_F_NONBLOCK | os.SPLICE_F_MOVE)
            except BlockingIOError:
                gone = 0
            if gone < count:
                self.on_the_line.appendleft((due, count - gone))
                break
        return False

    def close(self):
        os.close(self.far)
        os.close(self.near)


class Proxy:
    def __init__(self, listener, port, bytes_per_second, rtt):
        self.listener, self.port, self.rtt = listener, port, rtt
        self.up, self.down = Line(bytes_per_second, rtt / 2), Line(bytes_per_second, rtt / 2)
        self.connections = 0
        self.ready = select.epoll()
        self.pairs = {}  # the two ways of a connection, by the descriptors of both their sources

    def accept(self):
        try:
            near = self.listener.accept()[0]
        except BlockingIOError:
            return False
        try:
            far = socket.create_connection(("127.0.0.1", self.port))
        except OSError:
            near.close()
            return True
        now = time.monotonic()
        for s in (near, far):
            s.setblocking(False)
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pair = {near.fileno(): Way(near, far, self.up, now + self.rtt), far.fileno(): Way(far, near, self.down, 0.0)}
        for descriptor in pair:
            self.pairs[descriptor] = pair
            self.ready.register(descriptor, select.EPOLLIN)
        self.connections += 1
        return True

    def close(self, pair):
        for descriptor, way in pair.items():
            del self.pairs[descriptor]
            way.close()
        for way in pair.values():
            way.source.close()

    def pass_on(self, readable):
        """One look at all connections."""
        now = time.monotonic()
        gone = {}
        # In turn, so that no connection has the line for itself.
        while readable:
            readable = [d for d in readable if self.tried(d, gone, lambda way: way.take(now))]
        for descriptor, pair in self.pairs.items():
            if self.tried(descriptor, gone, lambda way: way.give(now)):
                way = pair[descriptor]
                way.on_the_line.append((float("inf"), 0))
            if all(way.on_the_line and way.on_the_line[0][0] == float("inf") for way in pair.values()):
                gone[id(pair)] = pair
        for pair in gone.values():
            self.close(pair)

    def tried(self, descriptor, gone, action):
        pair = self.pairs[descriptor]
        if id(pair) in gone:
            return False
        try:
            return action(pair[descriptor])
        except OSError:
            gone[id(pair)] = pair
            return False

    def serve(self, end):
        """Until `end`, a pipe's end, says so."""
        self.listener.setblocking(False)
        self.ready.register(self.listener, select.EPOLLIN)
        self.ready.register(end, select.EPOLLIN)
        while True:
            found = [d for d, _ in self.ready.poll(0 if self.pairs else None)]
            if end.fileno() in found:
                return
            if self.listener.fileno() in found:
                while self.accept():
                    pass
            self.pass_on([d for d in found if d in self.pairs])
            time.sleep(TICK)

    def account(self):
        seconds = [*self.up.by_second, *self.down.by_second]
        span = range(min(seconds, default=0), max(seconds, default=0) + 1)
        up, down = ([round(line.by_second[t] / 1e6, 1) for t in span] for line in (self.up, self.down))
        return {"up": self.up.carried, "down": self.down.carried, "connections": self.connections,
                "cpu": sum(os.times()[:2]), "up_mb_by_second": up, "down_mb_by_second": down}


def run(listener, port, bytes_per_second, rtt, cores, pipe):
    if cores:
        os.sched_setaffinity(0, cores)
    proxy = Proxy(listener, port, bytes_per_second, rtt)
    proxy.serve(pipe)
    pipe.send(proxy.account())


@contextlib.contextmanager
def behind(port, megabytes_per_second, rtt, cores, carried):
    """A proxy before a port, in a process of its own, on these cores if any: its own port; `carried` is filled in at the end."""
    listener = socket.create_server(("127.0.0.1", 0))
    near, far = multiprocessing.Pipe()
    arguments = (listener, port, megabytes_per_second * 1e6, rtt, cores, far)
    process = multiprocessing.get_context("fork").Process(target=run, args=arguments, daemon=True)
    process.start()
    far.close()
    try:
        yield listener.getsockname()[1]
        near.send("end")
        if not near.poll(30):
            raise TimeoutError("the proxy does not answer")
        carried |= near.recv()
    finally:
        listener.close()
        process.terminate()
        process.join()
