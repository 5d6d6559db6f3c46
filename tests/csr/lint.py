"""Lints certificates and CRLs with pkilint (RFC 5280 and what it names), and verifies them with openssl.

    lint.py DIRECTORY

`*.crt` are certificates, `*.crl` lists. A leaf lies beside the root that it is verified with: `NAME.crt`, and
`NAME.root` with the root's name in it. A root's list is `ROOT.crl`.
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
    root = leaf.read_text(encoding="utf-8")
    crl = here / f"{root}.crl"
    command = ["openssl", "verify", "-x509_strict", "-CAfile", f"{root}.crt"]
    if crl.exists():
        command += ["-crl_check", "-CRLfile", crl.name]
    done = subprocess.run([*command, f"{leaf.stem}.crt"], cwd=here, capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stdout, done.stderr)
        failed.append(f"{leaf.stem}: openssl")
print(f"{n_linted} linted", *failed)
sys.exit(bool(failed))
