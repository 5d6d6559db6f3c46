# vault policy write cmp-console deploy/vault/cmp-console.hcl
# What a console may do: see what is mounted, and have a throw-away CSR signed as a test, with a role that signs that
# one name for an hour and nothing else:
#   vault write cmp-pki/roles/cmp-test-role allowed_domains=test.example.com allow_bare_domains=true \
#     allow_subdomains=false allow_ip_sans=false key_type=any ttl=1h max_ttl=1h not_after_bound=ttl-limited
path "sys/mounts"                  { capabilities = ["read"] }
path "cmp-pki/config/urls"         { capabilities = ["read"] }
path "cmp-pki/config/crl"          { capabilities = ["read"] }
path "cmp-pki/sign/cmp-test-role"  { capabilities = ["create", "update"] }
path "auth/token/renew-self"       { capabilities = ["update"] }
path "auth/token/lookup-self"      { capabilities = ["read"] }
