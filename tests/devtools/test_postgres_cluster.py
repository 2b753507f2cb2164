import psycopg
import pytest

from devtools.servers import PostgresServer
from devtools.servers.probes import postgres_answers

pytestmark = pytest.mark.servers


def test_the_shared_postgres_answers(postgres: PostgresServer) -> None:
    assert postgres_answers(postgres.url)


def test_a_killed_postgres_comes_back_at_the_same_address_with_its_data(
    own_postgres: PostgresServer,
) -> None:
    url = own_postgres.url
    with psycopg.connect(url) as session:
        session.execute("CREATE TABLE kept (number int)")
        session.commit()
        own_postgres.kill()
    assert not postgres_answers(url)

    own_postgres.start()
    assert own_postgres.url == url
    with psycopg.connect(url) as session:
        assert session.execute("SELECT count(*) FROM kept").fetchone() == (0,)
