"""Connection strings for the account that every Azure Storage emulator has."""

# Microsoft documents name and key; they open nothing but an emulator.
_NAME = "devstoreaccount1"
_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


def connection_string(*, blob: int, queue: int, table: int) -> str:
    endpoints = (
        f"{name}Endpoint=http://127.0.0.1:{port}/{_NAME};"
        for name, port in (("Blob", blob), ("Queue", queue), ("Table", table))
    )
    credentials = f"DefaultEndpointsProtocol=http;AccountName={_NAME};AccountKey={_KEY};"
    return credentials + "".join(endpoints)
