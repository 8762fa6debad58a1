"""A QUIC peer by aioquic: `client HOST PORT ROOTS` or `server HOST PORT CHAIN KEY`, one word of output for each thing that went well."""

import asyncio
import sys

from aioquic.asyncio import connect, serve
from aioquic.quic.configuration import QuicConfiguration

DATA = bytes(range(256)) * 2000


async def echo(protocol, data):
    reader, writer = await protocol.create_stream()
    writer.write(data)
    writer.write_eof()
    return await asyncio.wait_for(reader.read(), 30) == data


async def client(host, port, roots, name):
    tickets = []
    for visit in ("first", "again"):
        configuration = QuicConfiguration(is_client=True, server_name=name, session_ticket=tickets[0] if tickets else None)
        configuration.load_verify_locations(roots)
        async with connect(host, int(port), configuration=configuration, session_ticket_handler=tickets.append) as protocol:
            alike = await asyncio.gather(*(echo(protocol, DATA) for _ in range(8)))
            resumed = protocol._quic.tls.session_resumed
            print(visit, "echoed" if all(alike) else "garbled", "resumed" if resumed else "anew", flush=True)
            if visit == "first":
                protocol.change_connection_id()
                await protocol.ping()
                print("ids changed", flush=True)


async def server(host, port, chain, key):
    configuration = QuicConfiguration(is_client=False)
    configuration.load_cert_chain(chain, key)

    def handle(reader, writer):
        async def back():
            writer.write(await reader.read())
            writer.write_eof()

        asyncio.ensure_future(back())

    await serve(host, int(port), configuration=configuration, stream_handler=handle, retry=True)
    print("serving", flush=True)
    await asyncio.Event().wait()


asyncio.run({"client": client, "server": server}[sys.argv[1]](*sys.argv[2:]))
