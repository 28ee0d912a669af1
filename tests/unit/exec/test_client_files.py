"""What stands in the files for wget and PHP; both run in test_child.py."""

from pathlib import Path

from askonce.exec.client_files import client_files


def test_the_user_s_file_comes_first_and_is_not_taken_twice(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("quiet = on")
    bundle = tmp_path / "bundle.pem"
    once = client_files(bundle, {"WGETRC": str(tmp_path / "mine")})
    for variables in (once, client_files(bundle, once)):
        assert Path(variables["WGETRC"]).read_text() == f"quiet = on\nca_certificate = {bundle}\n"
    assert Path(once["WGETRC"]).stat().st_mode & 0o777 == 0o600


def test_without_one_there_is_the_setting_alone(tmp_path: Path) -> None:
    variables = client_files(tmp_path / "b.pem", {"HOME": str(tmp_path)})
    assert Path(variables["WGETRC"]).read_text() == f"ca_certificate = {tmp_path}/b.pem\n"


def test_php_s_own_folders_are_read_before_ours(tmp_path: Path) -> None:
    ours = tmp_path / "php"
    for held, folders in (("", f":{ours}"), ("/a:", f"/a::{ours}"), ("/a:/b", f"/a:/b:{ours}")):
        once = client_files(tmp_path / "b.pem", {"PHP_INI_SCAN_DIR": held})
        assert once["PHP_INI_SCAN_DIR"] == folders
        assert client_files(tmp_path / "b.pem", once)["PHP_INI_SCAN_DIR"] == folders
    text = (ours / "askonce.ini").read_text()
    assert text == f'curl.cainfo = "{tmp_path}/b.pem"\nopenssl.cafile = "{tmp_path}/b.pem"\n'
