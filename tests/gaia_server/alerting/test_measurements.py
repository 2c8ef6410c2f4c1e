"""What server processes measure of themselves."""

import asyncio

import psycopg

from gaia_server import settings
from gaia_server.alerting.measurements import Measurer
from gaia_server.app_state import Server


def test_processes_of_one_name_do_not_overwrite_each_other(schema: str) -> None:
    """Two containers of one host name, in each of which the server has the same process id, have a row each."""

    async def written(name: str) -> None:
        server = Server(settings.read({"DATABASE_URL": schema}), None, instance=name)
        measurer = Measurer(server)
        await server.store.open()
        try:
            await measurer.write()
            await measurer.write()
        finally:
            await server.store.close()

    for _ in range(2):
        asyncio.run(written("gaia:1"))
    with psycopg.connect(schema) as connection:
        assert connection.execute("SELECT count(*) FROM server_measurements").fetchone() == (2,)
