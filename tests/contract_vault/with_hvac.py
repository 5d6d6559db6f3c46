"""Drives a Vault-compatible server with hvac, an independent client: status, unseal, sign, revoke, CRL.

Arguments: the address, a CSR's file. Standard input: JSON with `keys` and `token`. It prints `ok`.
"""

import json
import sys

import hvac

address, csr_file = sys.argv[1:3]
secrets = json.load(sys.stdin)
client = hvac.Client(url=address, token=secrets["token"])

assert client.sys.is_initialized()
assert client.sys.is_sealed()
assert client.sys.read_health_status(method="GET").status_code == 503
first = client.sys.submit_unseal_key(secrets["keys"][0])
assert (first["sealed"], first["progress"], first["t"], first["n"]) == (True, 1, 3, 5), first
assert client.sys.submit_unseal_key(reset=True)["progress"] == 0
status = client.sys.submit_unseal_keys(secrets["keys"][1:4])
assert status["sealed"] is False, status
assert client.is_authenticated()
assert "cmp-pki/" in client.sys.list_mounted_secrets_engines()["data"]

pki = client.secrets.pki
with open(csr_file, encoding="ascii") as file:
    csr = file.read()
signed = pki.sign_certificate(
    name="cmp-role", csr=csr, common_name="web.example.com", mount_point="cmp-pki", extra_params={"ttl": "1h"}
)["data"]
serial = signed["serial_number"]
assert serial in pki.list_certificates(mount_point="cmp-pki")["data"]["keys"]
assert pki.read_certificate(serial, mount_point="cmp-pki")["data"]["certificate"] == signed["certificate"]
before = pki.read_crl(mount_point="cmp-pki")
first = pki.revoke_certificate(serial_number=serial, mount_point="cmp-pki")["data"]["revocation_time"]
again = pki.revoke_certificate(serial_number=serial, mount_point="cmp-pki")["data"]["revocation_time"]
assert first == again
after = pki.read_crl(mount_point="cmp-pki")
assert before != after and after.startswith("-----BEGIN X509 CRL-----")

try:
    pki.sign_certificate(name="cmp-role", csr="", common_name="web.example.com", mount_point="cmp-pki")
    raise SystemExit("a sign without a CSR was not refused")
except hvac.exceptions.InvalidRequest as error:
    assert '"csr" is empty' in str(error), error
print("ok")
