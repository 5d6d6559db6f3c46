# vault policy write cmp-issuer deploy/vault/cmp-issuer.hcl
# Its role. Without `not_after_bound` a request with `not_after` gets a certificate for longer than `max_ttl`; a Vault whose
# answer leaves the field out doesn't know it, and wants `denied_parameters = { "not_after" = [] }` at the path for signing:
#   vault write cmp-pki/roles/cmp-role allowed_domains=example.com allow_bare_domains=true allow_subdomains=true \
#     key_type=any require_cn=false ttl=720h max_ttl=720h not_after_bound=ttl-limited
# What the issuer may do: sign, revoke, find what it signed, see what the CA can do, keep its token alive.
path "cmp-pki/sign/cmp-role"   { capabilities = ["create", "update"] }
path "cmp-pki/revoke"          { capabilities = ["create", "update"] }
path "cmp-pki/certs"           { capabilities = ["list"] }
path "cmp-pki/cert/*"          { capabilities = ["read"] }
path "cmp-pki/roles/cmp-role"  { capabilities = ["read"] }
path "cmp-pki/config/crl"      { capabilities = ["read"] }
path "auth/token/renew-self"   { capabilities = ["update"] }
path "auth/token/lookup-self"  { capabilities = ["read"] }
