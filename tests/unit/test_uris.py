"""Which URIs a dataset may come from, spelling by spelling. No test here asks the network."""

import os
from pathlib import Path

import pytest

from service.addresses import is_public
from service.imports.files import check_spelled_below, open_below
from service.uris import FilePlace, HttpPlace, Rules, S3Place, last_part, parse_uri, rules_from_json, shown
from workers.errors import DataError

ALLOWING = Rules(
    import_roots=("/data",),
    fetch_http=True,
    fetch_ports=(8443,),
    fetch_private_hosts=("files.internal", "10.1.2.3"),
    s3_buckets=("lake",),
)
FILE_REFUSAL = "This is no regular file or folder below a directory that the service's GRADSUM_IMPORT_ROOTS names."


def refusal(uri: str, rules: Rules = ALLOWING) -> str:
    with pytest.raises(DataError) as raised:
        parse_uri(uri, rules)
    assert raised.value.code == "uri_not_allowed"
    assert raised.value.errors[0].field == "uri"
    return raised.value.message


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.1", "127.0.1", "2130706433", "017700000001", "0x7f000001", "0x7f.0.0.1", "0177.0.0.1", "0",
        "0.0.0.0", "0.0.0.0.", "127.0.0.1.",  # noqa: S104 - not bound
        "localhost", "LOCALHOST", "localhost.", "a.localhost", "10.0.0.1",
        "172.16.0.1", "192.168.0.1", "169.254.169.254", "0xa9fea9fe", "2852039166", "100.64.0.1", "192.0.0.8",
        "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "134744072", "[::1]", "[::]", "[::127.0.0.1]",
        "[::ffff:10.0.0.1]", "[::ffff:a00:1]", "[::ffff:169.254.169.254]", "[fe80::1]", "[fe80::1%25eth0]", "[fc00::1]",
        "[fd00:ec2::254]", "[ff02::1]", "[64:ff9b::7f00:1]", "[64:ff9b:1::a00:1]", "[2002:7f00:1::]", "[2002:a00:1::]",
        "[2001:0:7f00:1::]", "[fec0::1]", "[0:0:0:0:0:ffff:7f00:1]",
    ],
)  # fmt: skip
def test_no_spelling_of_a_private_address_is_taken(host: str) -> None:
    assert "host" in refusal(f"https://{host}/a.csv").lower()
    assert "host" in refusal(f"http://{host}:8443/a.csv").lower()


@pytest.mark.parametrize(
    "uri",
    [
        "https://user@example.org/a", "https://user:word@example.org/a", "https://example.org@127.0.0.1/a",
        "https://example.org\\@127.0.0.1/a", "https://@example.org/a", "https:///a", "https://", "https:example.org/a",
        "https://exam ple.org/a", "https://example.org/a b", "https://example.org/\ta", "https://example.org/a\n",
        "https://①②⑦.⓪.⓪.①/a", "https://127。0。0。1/a", "https://example。org/a", "https://%31%32%37.0.0.1/a",
        "https://example.org:0/a", "https://example.org:22/a", "https://example.org:5000/a", "https://example.org:x/a",
        "https://example.org:6379/a", "https://example.org:99999/a", "https://[::1/a", "https://a..b/a", "https://.../a",
        "gopher://example.org/", "ftp://example.org/a", "data:text/csv,a,b", "data://text/csv,a", "//example.org/a",
        "javascript://a", "http+unix://a", "HTTPS//example.org", "dict://example.org", "", "a.csv", "/etc/passwd",
        "https://example.org/" + "a" * 2000,
    ],
)  # fmt: skip
def test_what_is_no_plain_address_of_a_public_server_is_refused(uri: str) -> None:
    assert refusal(uri)


def test_http_and_other_ports_are_the_operators_choice() -> None:
    assert "GRADSUM_FETCH_HTTP" in refusal("http://example.org/a", Rules())
    assert "GRADSUM_FETCH_PORTS" in refusal("https://example.org:8443/a", Rules())
    assert parse_uri("http://example.org/a", ALLOWING) == HttpPlace("http", "example.org", 80, "/a")
    assert parse_uri("HTTPS://Example.ORG:8443/a%20b?c=/#d", ALLOWING) == HttpPlace(
        "https", "example.org", 8443, "/a%20b?c=/"
    )


def test_public_hosts_need_no_setting() -> None:
    assert parse_uri("https://example.org", Rules()) == HttpPlace("https", "example.org", 443, "/")
    assert parse_uri("https://8.8.8.8/a", Rules()) == HttpPlace("https", "8.8.8.8", 443, "/a")
    place = parse_uri("https://[2606:4700::1111]:8443/a", ALLOWING)
    assert isinstance(place, HttpPlace)
    assert (place.host, place.authority) == ("[2606:4700::1111]", "[2606:4700::1111]:8443")


def test_a_private_host_is_taken_only_as_the_operator_spells_it() -> None:
    assert isinstance(parse_uri("https://files.internal/a", ALLOWING), HttpPlace)
    assert isinstance(parse_uri("https://10.1.2.3/a", ALLOWING), HttpPlace)
    assert refusal("https://10.1.2.4/a")
    assert refusal("https://[::ffff:10.1.2.3]/a")


@pytest.mark.parametrize("address", ["fe80::1%eth0", "10.0.0.1", "64:ff9b::a00:1", "::ffff:8.8.8.8.8", "name"])
def test_a_resolver_may_say_anything(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "64:ff9b::808:808", "2002:808:808::1"])
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "uri",
    [
        "s3://other/a.csv", "s3://lake", "s3://lake/", "s3://lake/a//", "s3://lake/../other/a.csv", "s3://lake//a.csv",
        "s3://lake/%2e%2e/other/a.csv", "s3://lake/a.csv?endpoint_override=evil", "s3://key:word@lake/a.csv",
        "s3://lake:80/a", "s3:///a.csv", "s3://LAKE/a.csv", "s3://lake.evil.org/a.csv", "s3://%6cake/a.csv",
    ],
)  # fmt: skip
def test_only_objects_of_buckets_that_the_operator_names_are_taken(uri: str) -> None:
    assert refusal(uri)
    assert refusal("s3://lake/a.csv", Rules())
    assert parse_uri("s3://lake/b%20c/a.csv", ALLOWING) == S3Place("lake", "b c/a.csv")
    assert parse_uri("s3://lake/b/c/", ALLOWING) == S3Place("lake", "b/c/")


@pytest.mark.parametrize(
    "uri",
    [
        "file:///data/../etc/passwd", "file:../../etc/passwd", "file:data/a.csv", "file://../a.csv", "file://data/a.csv",
        "file:///data/%2e%2e/etc/passwd", "file:///data/%2E./etc/passwd", "file:///data/%252e%252e/etc/passwd",
        "file:///data/./a.csv", "file://example.org/data/a.csv", "file://user@/data/a.csv", "file:///data/a.csv?b",
        "file:///data/a.csv#b", "file:///data/a%00.csv", "file://localhost:80/data/a.csv", "file://127.0.0.1/data/a.csv",
        "file:///data%2f..%2fetc/passwd", "file:///data/a.csv%2500",
    ],
)  # fmt: skip
def test_a_file_has_one_spelling_and_one_refusal(uri: str) -> None:
    expected = FILE_REFUSAL if "://" in uri else "The URI must begin with https://, s3:// or file://."
    assert refusal(uri) == expected


def test_an_absolute_path_is_decoded_once() -> None:
    assert parse_uri("file:///data/b%20c.csv", ALLOWING) == FilePlace("/data/b c.csv")
    assert parse_uri("file://localhost/data/a.csv", ALLOWING) == FilePlace("/data/a.csv")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Import root `root` with a file, a directory, a FIFO and links in and out; a secret beside it."""
    root = tmp_path / "root"
    (root / "folder").mkdir(parents=True)
    (root / "a.csv").write_text("a\n1\n")
    (tmp_path / "secret.csv").write_text("b\n2\n")
    (tmp_path / "root-too").mkdir()
    (tmp_path / "root-too" / "c.csv").write_text("c\n3\n")
    (root / "inside.csv").symlink_to(root / "a.csv")
    (root / "outside.csv").symlink_to(tmp_path / "secret.csv")
    (root / "dangling.csv").symlink_to(tmp_path / "nothing.csv")
    (root / "up").symlink_to(tmp_path)
    (root / "environ").symlink_to("/proc/self/environ")
    (root / "zero").symlink_to("/dev/zero")
    os.mkfifo(root / "fifo")
    return root


@pytest.mark.parametrize(
    "path",
    [
        "secret.csv", "root/up/nothing.csv", "root/no/folder.csv",
        "nothing.csv", "root-too/c.csv", "root/outside.csv", "root/dangling.csv",
        "root/up/secret.csv", "root/folder", "root", "root/fifo", "root/environ", "root/zero", "root/a.csv/b",
        "/etc/passwd", "/proc/self/environ", "/proc/self/root/etc/passwd", "/dev/stdin", "/dev/zero", "/",
    ],
)  # fmt: skip
def test_whatever_is_no_file_below_a_root_is_refused_in_the_same_words(root: Path, path: str) -> None:
    with pytest.raises(DataError) as raised:
        open_below(str(root.parent / path), [str(root)])
    assert (raised.value.code, raised.value.message) == ("uri_not_allowed", FILE_REFUSAL)


@pytest.mark.parametrize("path", ["root/missing.csv", "root/folder/missing.csv", "root/missing/", "alias/missing.csv"])
def test_a_name_that_a_folder_below_a_root_has_not_is_told(root: Path, path: str) -> None:
    (root.parent / "alias").symlink_to(root)
    with pytest.raises(DataError) as raised:
        open_below(f"{root.parent}/{path}", [str(root)])
    told = "There is no such file or folder, in a place below the service's GRADSUM_IMPORT_ROOTS."
    assert (raised.value.code, raised.value.message) == ("uri_not_allowed", told)


def test_the_kernels_files_are_no_data_even_below_a_root() -> None:
    for path in ("/proc/self/environ", "/dev/null", "/sys/kernel/uevent_seqnum"):
        with pytest.raises(DataError):
            open_below(path, ["/"])


def test_of_a_file_that_is_to_come_only_its_place_is_looked_at(root: Path, tmp_path: Path) -> None:
    named_by_link = tmp_path / "link"
    named_by_link.symlink_to(root)
    for place in (root, named_by_link):
        check_spelled_below(str(place / "tomorrow.csv"), [str(named_by_link)])
    for path in ("secret.csv", "root-too/tomorrow.csv"):
        with pytest.raises(DataError) as raised:
            check_spelled_below(str(tmp_path / path), [str(root)])
        assert (raised.value.code, raised.value.message) == ("uri_not_allowed", FILE_REFUSAL)


def test_a_file_below_a_root_is_opened_also_by_a_link_that_stays_inside(root: Path, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(root)
    for path, roots in (("a.csv", [root]), ("inside.csv", [root]), ("a.csv", [tmp_path / "alias"])):
        with open_below(str(root / path), list(map(str, roots))) as file:
            assert file.read() == b"a\n1\n"
    with pytest.raises(DataError):
        open_below(str(root / "a.csv"), [])


def test_what_was_checked_is_what_is_read_though_the_name_is_given_to_another_file_meanwhile(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    swapped = root / "a.csv"
    look = os.fstat

    def swap_and_look(descriptor: int) -> os.stat_result:
        swapped.unlink(missing_ok=True)
        swapped.symlink_to(tmp_path / "secret.csv")
        return look(descriptor)

    monkeypatch.setattr(os, "fstat", swap_and_look)
    with open_below(str(swapped), [str(root)]) as file:
        assert file.read() == b"a\n1\n"


def test_secrets_of_a_query_are_not_shown() -> None:
    assert shown("https://example.org/a.csv?token=abc&b=") == "https://example.org/a.csv?token=…&b=…"
    assert shown("s3://lake/a.csv") == "s3://lake/a.csv"
    assert shown("https://user:word@example.org/a") == "https://example.org/a"


def test_a_name_is_the_last_part_of_the_path() -> None:
    assert last_part("https://example.org/b/people%202.csv?x=/y#z") == "people 2.csv"
    assert last_part("https://example.org") == ""
    assert last_part("s3://lake/people.parquet/") == "people.parquet"


def test_rules_survive_json() -> None:
    values = {name: list(value) if isinstance(value, tuple) else value for name, value in ALLOWING._asdict().items()}
    assert rules_from_json(values) == ALLOWING
