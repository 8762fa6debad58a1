"""A QUIC peer by aioquic: `client HOST PORT ROOTS NAME [WHAT]` or `server HOST PORT CHAIN KEY [WORD...]`, one line of output for each thing that went well."""

import asyncio
import socket
import sys

from aioquic.asyncio import QuicConnectionProtocol, connect, serve
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated, HandshakeCompleted
from aioquic.quic.packet import QuicProtocolVersion

DATA = bytes(range(256)) * 2000


def say(*words):
    print(*words, flush=True)


class Protocol(QuicConnectionProtocol):
    """Remembers how the handshake went, and how the connection ended."""

    shaken = ended = None

    def quic_event_received(self, event):
        if isinstance(event, HandshakeCompleted):
            self.shaken = event
        if isinstance(event, ConnectionTerminated):
            self.ended = event
        super().quic_event_received(event)


class Server(Protocol):
    def quic_event_received(self, event):
        if isinstance(event, HandshakeCompleted):
            say(age(event))
        super().quic_event_received(event)


def age(shaken):
    return "early" if shaken.early_data_accepted else "resumed" if shaken.session_resumed else "anew"


class Client:
    def __init__(self, host, port, roots, name):
        self.host, self.port, self.roots, self.name = host, int(port), roots, name
        self.tickets = []

    def connect(self, wait_connected=True, **keys):
        configuration = QuicConfiguration(is_client=True, server_name=self.name, **keys)
        configuration.load_verify_locations(self.roots)
        return connect(
            self.host,
            self.port,
            configuration=configuration,
            create_protocol=Protocol,
            session_ticket_handler=self.tickets.append,
            wait_connected=wait_connected,
        )

    async def plain(self):
        """Two visits, the second by the first one's ticket; ids change in between."""
        for visit in ("first", "again"):
            async with self.connect(session_ticket=self.tickets[0] if self.tickets else None) as protocol:
                alike = await asyncio.gather(*(echo(protocol, DATA) for _ in range(8)))
                say(visit, "echoed" if all(alike) else "garbled", age(protocol.shaken))
                if visit == "first":
                    protocol.change_connection_id()
                    await protocol.ping()
                    say("ids changed")

    async def early(self):
        """On the second visit the data is written before the handshake is done."""
        async with self.connect() as protocol:
            say("first", "echoed" if await echo(protocol, DATA[:3000]) else "garbled", age(protocol.shaken))
            await protocol.ping()
        async with self.connect(wait_connected=False, session_ticket=self.tickets[0]) as protocol:
            say("again", "echoed" if await echo(protocol, DATA[:3000]) else "garbled", age(protocol.shaken))

    async def versions(self):
        """Begins with a version that the other end does not speak, and goes on with one that the answer offers."""
        async with self.connect(original_version=QuicProtocolVersion.VERSION_2) as protocol:
            alike = await echo(protocol, DATA[:3000])
            negotiated = protocol._quic._version_negotiated_incompatible
            say("echoed" if alike else "garbled", f"by version {protocol._quic._version:x}", "negotiated" if negotiated else "at once")

    async def move(self, address):
        """Goes on from another address in the middle of a stream."""
        async with self.connect() as protocol:
            reader, writer = await protocol.create_stream()
            writer.write(DATA)
            before = await asyncio.wait_for(reader.readexactly(len(DATA)), 30)
            other = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            other.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            other.bind((f"::ffff:{address}", 0, 0, 0))
            await asyncio.get_running_loop().create_datagram_endpoint(lambda: protocol, sock=other)
            protocol.change_connection_id()
            writer.write(DATA)
            writer.write_eof()
            after = await asyncio.wait_for(reader.read(), 30)
            say("echoed" if before == after == DATA else "garbled", "from both places")

    async def dark(self):
        """Waits for the end after an echo, whatever ends it."""
        async with self.connect() as protocol:
            reader, writer = await protocol.create_stream()
            writer.write(b"hello")
            say("echoed", (await asyncio.wait_for(reader.readexactly(5), 30)).decode())
            await asyncio.wait_for(protocol.wait_closed(), 60)
            say("ended:", protocol.ended.reason_phrase)

    async def greedy(self, what):
        """Takes more than the server allows: streams, or bytes."""
        async with self.connect() as protocol:
            quic = protocol._quic
            if what == "streams":
                quic._remote_max_streams_bidi = 1 << 20
                for _ in range(200):
                    _, writer = await protocol.create_stream()
                    writer.write(b"x")
            else:
                quic._remote_max_data = quic._remote_max_stream_data_bidi_remote = 1 << 40
                _, writer = await protocol.create_stream()
                writer.write(bytes(32 << 20))
            await asyncio.wait_for(protocol.wait_closed(), 60)
            say("ended: error", protocol.ended.error_code)


async def echo(protocol, data):
    reader, writer = await protocol.create_stream()
    writer.write(data)
    writer.write_eof()
    return await asyncio.wait_for(reader.read(), 30) == data


async def client(host, port, roots, name, what="plain", *arguments):
    await getattr(Client(host, port, roots, name), what)(*arguments)


async def server(host, port, chain, key, *words):
    """Echoes every stream; `retry`, and `v2` for the other version alone."""
    configuration = QuicConfiguration(is_client=False)
    configuration.load_cert_chain(chain, key)
    if "v2" in words:
        configuration.supported_versions = [QuicProtocolVersion.VERSION_2]

    def handle(reader, writer):
        async def back():
            try:
                while data := await reader.read(65536):
                    writer.write(data)
                writer.write_eof()
            except RuntimeError:
                # The peer reads no more: it has closed the stream.
                pass

        asyncio.ensure_future(back())

    tickets = {}
    await serve(
        host,
        int(port),
        configuration=configuration,
        create_protocol=Server,
        session_ticket_fetcher=tickets.get,
        session_ticket_handler=lambda ticket: tickets.update({ticket.ticket: ticket}),
        stream_handler=handle,
        retry="retry" in words,
    )
    say("serving")
    await asyncio.Event().wait()


asyncio.run({"client": client, "server": server}[sys.argv[1]](*sys.argv[2:]))
