# From a checkout: .venv/bin/python -m hatchling build --target sdist && brew install --formula packaging/homebrew/askonce.rb
class Askonce < Formula
  desc "Transparent semantic cache for calls to LLM providers"
  homepage "https://askonce.internal/"
  url "file://#{File.expand_path("../../dist/askonce-0.1.0.tar.gz", __dir__)}"
  license all_of: ["MIT", "Apache-2.0"]

  depends_on "python@3.13"

  def install
    system Formula["python@3.13"].opt_bin/"python3.13", "-m", "venv", libexec
    system libexec/"bin/python", "-m", "pip", "install", "--no-cache-dir", buildpath
    bin.install_symlink libexec/"bin/askonce"
    generate_completions_from_executable bin/"askonce", shell_parameter_format: :typer
  end

  service do
    run [opt_bin/"askonce", "serve"]
    environment_variables ASKONCE_DATA: var/"askonce/data", ASKONCE_CERTS: var/"askonce/certs"
    keep_alive crashed: true
    log_path var/"log/askonce.log"
    error_log_path var/"log/askonce.log"
  end

  test do
    assert_match "askonce #{version}", shell_output("#{bin}/askonce --version")
    assert_match "rules.yaml", shell_output("#{bin}/askonce rules check")
  end
end
