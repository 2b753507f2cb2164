"""Credentials in texts of other programs are hidden, in a time that grows with the text only."""

import pytest

from jobfleet_contracts.credentials import masked_text

VALUE = "hunter22"


@pytest.mark.parametrize(
    "text",
    [
        '<add key="password" value="hunter22"/>',
        "<add name='db-password' type=\"x\" value='hunter22'/>",
        "{'token': b'hunter22', 'size': 1}",
        "{token: hunter22}",
        '{size: 1, password: "hunter22"}',
        "curl -u me:hunter22 https://a.example",
        'curl --user "me:hunter22 hunter22" https://a.example',
        "curl -H 'X-Api-Key: hunter22' https://a.example",
        "curl --proxy-user=me:hunter22 https://a.example",
        "Authorization%3A%20Bearer%20hunter22",
        "db_password = hunter22",
        "password= 'hunter22 hunter22'",
        "api_key\t=hunter22",
        "mysql --password hunter22 --verbose",
        "run -token 'hunter22 hunter22'",
        "<password><![CDATA[hunter22]]></password>",
        "<db:password>\n <![CDATA[a<b>hunter22]]>\n</db:password>",
        "see //me:hunter22@host/path",
        'sent ["Authorization", "Basic", "hunter22"] to it',
        "sent ('Cookie', 'hunter22')",
        '["Authorization", "Basic", "hunter22"]',
        '["mysql", "--password", "hunter22"]',
        "a%3Ab%0D%0AX-Api-Key%3Ahunter22%0D%0AAccept%3Ax",
        "token%3Dhunter22",
        "?next=%2Fcb%3Ftoken%3Dhunter22%26x%3D1",
        "x%253Ftoken%253Dhunter22%2526y%253D2",
    ],
)
def test_a_credential_is_hidden_in_the_notation_of_other_programs(text: str) -> None:
    assert VALUE not in masked_text(text)


@pytest.mark.parametrize(
    "before",
    [
        "",
        "failed: ",
        "cancelled by operator: ",
        "the header ",
        "error (",
        "error, ",
        "error; ",
        "ERROR:root:",
        "2026-11-27T03:35:13: ",
        "HTTP 401: a: b: ",
        "curl --header ",
        "- ",
        "[",
        "two lines\n of it: ",
    ],
)
def test_a_credential_behind_its_name_is_hidden_wherever_the_name_stands_in_a_line(
    before: str,
) -> None:
    for name in ("X-Api-Key", "password", "Authorization", "Cookie", "client_secret"):
        for between in (":", ": ", ":\t", ":   "):
            text = f"{before}{name}{between}{VALUE}\nnext line"
            shown = masked_text(text)
            assert VALUE not in shown, text
            assert shown.endswith("\nnext line")
            assert masked_text(shown) == shown
        assert VALUE not in masked_text(f"{before}{name}: Token {VALUE}")


@pytest.mark.parametrize(
    "text",
    [
        "send it in a header, as ${secret:NAME}",
        "{token: ${secret:A}}",
        "{token: ${secret:A}, size: 1}",
        "{name: token, size: 1}",
        "docker run -u root token",
        "if token == null return",
        "{'tokenizer': b'fast'}",
        "use --verbose with --token",
        '["session", "customer", "items"]',
        "// todo: mail me@host",
        "connect to http://auth-service:8080/ and auth-service:8080 failed",
        "call token::decode of crate::auth",
        "waits for the token:",
        "sent with X-Api-Key: ${secret:PARTNER}",
    ],
)
def test_what_is_no_credential_stays(text: str) -> None:
    assert masked_text(text) == text


@pytest.mark.parametrize("before", ["postgres://", "see http:\t//", "ht\ntp://", "http:/\r/"])
@pytest.mark.parametrize("between", ["", *"/?#@:\t\r\n"])
def test_user_info_is_hidden_whatever_stands_in_it(before: str, between: str) -> None:
    for user_info in (f"me:x{between}hunter22", f"me:{between}xhunter22"):
        assert VALUE not in masked_text(f"{before}{user_info}@host/path")


@pytest.mark.parametrize(
    "text",
    [
        "http://h:8080/a?mail=x@y.z",
        "http://[::1]:80/x@y",
        "https://example.org/@scope/a:b@c",
        "http://h:8080\nmail@example.org",
        "size%3D5",
    ],
)
def test_an_address_without_a_credential_stays(text: str) -> None:
    assert masked_text(text) == text


def test_a_hidden_text_is_hidden_only_once() -> None:
    shown = masked_text("curl -u me:hunter22 -H 'X-Token: a' {token: b}")
    assert masked_text(shown) == shown
