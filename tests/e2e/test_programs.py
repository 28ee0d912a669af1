"""Programs and libraries of other languages, as their makers ship them, behind `askonce exec`: asked again, a hit.

One rule: each is what this machine has of it, and posts one call in its own way; where it is not there, the test is
skipped and says so.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.e2e.conftest import Provider, Proxy, StartProxy
from tests.support.waiting import PATIENCE

URL = "https://api.openai.com/v1/chat/completions"
BODY = json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": "What is the capital of France?"}]})
JSON = "Content-Type: application/json"

HTTP_TINY = """
my ($url, $body, $key) = @ARGV;
my %headers = ('Content-Type' => 'application/json', Authorization => "Bearer $key");
print HTTP::Tiny->new->post($url, {content => $body, headers => \\%headers})->{content};
"""
LWP = """
my ($url, $body, $key) = @ARGV;
my @headers = ('Content-Type' => 'application/json', Authorization => "Bearer $key");
print LWP::UserAgent->new->post($url, @headers, Content => $body)->content;
"""
PHP_CURL = """
[, $url, $body, $key] = $argv;
$curl = curl_init($url);
curl_setopt_array($curl, [CURLOPT_POSTFIELDS => $body,
    CURLOPT_HTTPHEADER => ['Content-Type: application/json', "Authorization: Bearer $key"]]);
curl_exec($curl);
"""
PHP_STREAMS = """
[, $url, $body, $key] = $argv;
$headers = "Content-Type: application/json\\r\\nAuthorization: Bearer $key";
$proxy = ($argv[4] ?? '') ? ['proxy' => str_replace('http:', 'tcp:', $argv[4])] : [];
$http = ['method' => 'POST', 'header' => $headers, 'content' => $body] + $proxy;
echo file_get_contents($url, false, stream_context_create(['http' => $http]));
"""
RUBY = """
url, body, key = ARGV
headers = { "Content-Type" => "application/json", "Authorization" => "Bearer #{key}" }
puts Net::HTTP.post(URI(url), body, headers).body
"""
FETCH = """
const [url, body, key] = (globalThis.Deno ? Deno.args : process.argv.slice(2));
const headers = { "content-type": "application/json", authorization: `Bearer ${key}` };
console.log(await (await fetch(url, { method: "POST", headers, body })).text());
"""
GO = """
package main

import ("fmt"; "io"; "net/http"; "os"; "strings")

func main() {
	request, _ := http.NewRequest("POST", os.Args[1], strings.NewReader(os.Args[2]))
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+os.Args[3])
	answer, failed := http.DefaultClient.Do(request)
	if failed != nil { panic(failed) }
	text, _ := io.ReadAll(answer.Body)
	fmt.Println(string(text))
}
"""
JAVA = """
import java.net.URI; import java.net.http.*;
class Ask { public static void main(String[] args) throws Exception {
  var request = HttpRequest.newBuilder(URI.create(args[0])).header("Content-Type", "application/json")
    .header("Authorization", "Bearer " + args[2]).POST(HttpRequest.BodyPublishers.ofString(args[1])).build();
  System.out.println(HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString()).body()); } }
"""
JAVA_OLD = """
import java.net.URI; import java.net.HttpURLConnection;
class Ask { public static void main(String[] args) throws Exception {
  var connection = (HttpURLConnection) URI.create(args[0]).toURL().openConnection();
  connection.setDoOutput(true);
  connection.setRequestProperty("Content-Type", "application/json");
  connection.setRequestProperty("Authorization", "Bearer " + args[2]);
  connection.getOutputStream().write(args[1].getBytes());
  System.out.println(new String(connection.getInputStream().readAllBytes())); } }
"""


@dataclass(frozen=True)
class Program:
    """A command that posts the body; `{key}`, `{body}`, `{url}`, `{proxy}` and `{source}`, the file, are filled in."""

    command: Sequence[str]
    needs: Sequence[str] = ()
    """A command that fails where the program, or what it needs, is not there."""
    file: str = ""
    source: str = ""


HEADERS = ("Content-Type: application/json", "Authorization: Bearer {key}")
GIVEN = ("{url}", "{body}", "{key}")
PROGRAMS: Mapping[str, Program] = {
    "curl": Program(["curl", "-sS", "-H", HEADERS[0], "-H", HEADERS[1], "-d", "{body}", "{url}"]),
    "GNU wget": Program(
        ["wget", "-qO-", f"--header={HEADERS[0]}", f"--header={HEADERS[1]}", "--post-data={body}", "{url}"]
    ),
    "HTTPie": Program(["http", "--ignore-stdin", "-b", "--raw={body}", "POST", "{url}", *HEADERS]),
    "Perl's HTTP::Tiny": Program(
        ["perl", "-MHTTP::Tiny", "-e", HTTP_TINY, *GIVEN], ["perl", "-MHTTP::Tiny", "-MIO::Socket::SSL", "-e", "1"]
    ),
    "Perl's LWP": Program(
        ["perl", "-MLWP::UserAgent", "-e", LWP, *GIVEN], ["perl", "-MLWP::Protocol::https", "-e", "1"]
    ),
    "PHP's curl": Program(["php", "-r", PHP_CURL, *GIVEN], ["php", "-r", "exit(extension_loaded('curl') ? 0 : 1);"]),
    "PHP's streams, told of the proxy": Program(["php", "-r", PHP_STREAMS, *GIVEN, "{proxy}"]),
    "Ruby's net/http": Program(["ruby", "-rnet/http", "-e", RUBY, *GIVEN]),
    "Go's net/http": Program(["go", "run", "{source}", *GIVEN], file="ask.go", source=GO),
    "Java's HttpClient": Program(
        ["java", "{source}", *GIVEN], ["java", "--describe-module", "jdk.compiler"], "Ask.java", JAVA
    ),
    "Java's HttpURLConnection": Program(
        ["java", "{source}", *GIVEN], ["java", "--describe-module", "jdk.compiler"], "Ask.java", JAVA_OLD
    ),
    "Deno": Program(["deno", "run", "-A", "{source}", *GIVEN], file="ask.mjs", source=FETCH),
    "Bun": Program(["bun", "run", "{source}", *GIVEN], file="ask.mjs", source=FETCH),
}


def askonce_exec(proxy: Proxy, *command: str) -> "subprocess.CompletedProcess[str]":
    arguments = ["--listen", f"127.0.0.1:{proxy.port}", "--rules", str(proxy.rules), "--data", str(proxy.data)]
    return subprocess.run(
        [sys.executable, "-m", "askonce", "exec", *arguments, "--", *command],
        env=proxy.environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_that_asks_again_is_answered_here(
    proxy: Proxy, provider: Provider, api_key: str, tmp_path: Path, name: str
) -> None:
    program, source = PROGRAMS[name], tmp_path / PROGRAMS[name].file
    if not shutil.which(program.command[0]) or (
        program.needs and subprocess.run(program.needs, capture_output=True).returncode
    ):
        pytest.skip(f"{name} is not on this machine")
    if program.source:
        source.write_text(program.source)
    filled = {"{url}": URL, "{body}": BODY, "{key}": api_key, "{source}": str(source), "{proxy}": proxy.url}
    command = [_filled(part, filled) for part in program.command]
    # Two processes of the program, one of ours.
    done = askonce_exec(proxy, "sh", "-c", '"$@" && "$@"', "sh", *command)
    assert (done.returncode, done.stdout.count("The capital of France is Paris.")) == (0, 2), done.stderr + done.stdout
    assert "no call came through" not in done.stderr
    proxy.settle()
    latest = [call["outcome"] for call in proxy.get("/v1/stats")["latest"][:2]]
    assert (provider.calls(), latest) == (1, ["exact", "miss"])


def _filled(text: str, values: Mapping[str, str]) -> str:
    for mark, value in values.items():
        text = text.replace(mark, value)
    return text


HTTP_CLIENT = """
import http.client, sys
from urllib.parse import urlsplit
url, body, key = sys.argv[1:]
connection = http.client.HTTPConnection(urlsplit(url).netloc)
headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
connection.request("POST", urlsplit(url).path, body, headers)
print(connection.getresponse().read().decode())
"""
URLLIB3 = """
import sys, urllib3
url, body, key = sys.argv[1:]
headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
print(urllib3.PoolManager().request("POST", url, body=body, headers=headers).data.decode())
"""
GO_PAST = {
    "Python's http.client": [sys.executable, "-c", HTTP_CLIENT],
    "urllib3": [sys.executable, "-c", URLLIB3],
    "PHP's streams": ["php", "-r", PHP_STREAMS],
}
RULES = """
version: 1
upstreams: [{{name: here, hosts: ["http://127.0.0.1:{port}"], paths: [/v1/chat/completions], wire: openai-chat}}]
"""


def test_of_one_that_goes_past_the_proxy_exec_says_so(
    start_proxy: StartProxy, local_provider: Provider, tmp_path: Path
) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text(RULES.format(port=local_provider.port))
    proxy = start_proxy(rules=rules)
    for name, command in GO_PAST.items():
        if not shutil.which(command[0]):
            continue
        done = askonce_exec(proxy, *command, f"{local_provider.url}/v1/chat/completions", BODY, "sk-test")
        assert "The capital of France is Paris." in done.stdout, f"{name}: {done.stderr}"
        said = "askonce: no call came through: nothing of the command came to the proxy; if it asks a provider, give it"
        assert done.stderr.splitlines()[-1].startswith(said), name
