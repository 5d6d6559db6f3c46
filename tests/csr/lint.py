"""Lints certificates and CRLs with pkilint (RFC 5280 and what it names), and verifies them with openssl.

    lint.py DIRECTORY

`*.crt` are certificates, `*.crl` lists. What is verified has a file `NAME.root` beside `NAME.crt`: the name of its
root, then the intermediates down to its issuer. The list of a CA is `CA.crl`.
"""

import pathlib
import subprocess
import sys

from pkilint.bin import lint_crl, lint_pkix_cert

failed = []
n_linted = 0
here = pathlib.Path(sys.argv[1])
for file in sorted(here.iterdir()):
    if file.suffix == ".crt":
        n_findings = lint_pkix_cert.main(["lint", "-s", "ERROR", str(file)])
    elif file.suffix == ".crl":
        n_findings = lint_crl.main(["lint", "-t", "CRL", "-p", "PKIX", "-s", "ERROR", str(file)])
    else:
        continue
    n_linted += 1
    if n_findings:
        failed.append(file.name)
for leaf in sorted(here.glob("*.root")):
    root, *below = leaf.read_text(encoding="utf-8").split()
    command = ["openssl", "verify", "-x509_strict", "-CAfile", f"{root}.crt"]
    for ca in below:
        command += ["-untrusted", f"{ca}.crt"]
    issuer = [root, *below][-1]
    if (here / f"{issuer}.crl").exists():
        command += ["-crl_check", "-CRLfile", f"{issuer}.crl"]
    done = subprocess.run([*command, f"{leaf.stem}.crt"], cwd=here, capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stdout, done.stderr)
        failed.append(f"{leaf.stem}: openssl")
print(f"{n_linted} linted", *failed)
sys.exit(bool(failed))
