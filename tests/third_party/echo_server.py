"""Echo server on Python `websockets`: prints its port, answers each message with the same text, offers subprotocol chat."""
import asyncio
import sys

from websockets.asyncio.server import serve


async def echo(connection):
    await connection.send('{"event": "hello", "server": "websockets"}')
    async for message in connection:
        if message == "close-4401":
            await connection.close(4401, "token expired")
            return
        await connection.send(message)


async def main():
    async with serve(echo, "127.0.0.1", 0, subprotocols=["chat"]) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        # The test closes our standard input when it is done, so that no server outlives it.
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


asyncio.run(main())
