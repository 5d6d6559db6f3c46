# vault policy write cmp-issuer deploy/vault/cmp-issuer.hcl
# What the issuer may do: sign, revoke, find what it signed, see what the CA can do, keep its token alive.
path "cmp-pki/sign/cmp-role"   { capabilities = ["create", "update"] }
path "cmp-pki/revoke"          { capabilities = ["create", "update"] }
path "cmp-pki/certs"           { capabilities = ["list"] }
path "cmp-pki/cert/*"          { capabilities = ["read"] }
path "cmp-pki/roles/cmp-role"  { capabilities = ["read"] }
path "cmp-pki/config/crl"      { capabilities = ["read"] }
path "auth/token/renew-self"   { capabilities = ["update"] }
path "auth/token/lookup-self"  { capabilities = ["read"] }
