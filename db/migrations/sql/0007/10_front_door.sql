-- The front door logs in as a role of its own: it sees one tenant a transaction, the one it has
-- named, whatever a statement asks for. It owns nothing, and may never bypass row security.
DO $$
BEGIN
  CREATE ROLE billfleet_gateway LOGIN NOBYPASSRLS;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END
$$;

SET LOCAL ROLE billfleet_owner;

CREATE TABLE fleet.api_keys (
  key_id      text NOT NULL,
  tenant_id   text NOT NULL,
  name        text NOT NULL,
  secret_hash bytea NOT NULL,
  scopes      text[] NOT NULL,
  created_at  timestamptz NOT NULL,
  expires_at  timestamptz,
  revoked_at  timestamptz,
  CONSTRAINT pk_api_keys PRIMARY KEY (key_id),
  CONSTRAINT fk_api_keys_tenants FOREIGN KEY (tenant_id) REFERENCES business.tenants,
  CONSTRAINT ck_api_keys_key_id CHECK (key_id ~ '^[0-9a-f]{16}$'),
  CONSTRAINT ck_api_keys_name CHECK (name ~ '^[a-z0-9][a-z0-9._-]{0,62}$'),
  CONSTRAINT ck_api_keys_secret_hash CHECK (octet_length(secret_hash) = 32)
);
COMMENT ON TABLE fleet.api_keys IS 'Who may call the front door. Two keys of one name are valid at once while the name is rotated.';
COMMENT ON COLUMN fleet.api_keys.secret_hash IS 'SHA-256 of a random secret of 256 bits; the secret itself was shown once.';
CREATE INDEX ix_api_keys_tenant ON fleet.api_keys (tenant_id, name);

-- Who calls is found before it is known whose work it is, so the front door may ask for one key by
-- its id, and may not look at the table.
CREATE FUNCTION fleet.find_api_key(asked_for text)
RETURNS TABLE (key_id text, tenant_id text, name text, secret_hash bytea, scopes text[],
               expires_at timestamptz, revoked_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT k.key_id, k.tenant_id, k.name, k.secret_hash, k.scopes, k.expires_at, k.revoked_at
  FROM fleet.api_keys k WHERE k.key_id = asked_for
$$;
REVOKE ALL ON FUNCTION fleet.find_api_key(text) FROM PUBLIC;

CREATE TABLE fleet.idempotency (
  tenant_id       text NOT NULL,
  idempotency_key text NOT NULL,
  request_hash    bytea NOT NULL,
  status          integer,
  answer          text,
  location        text,
  created_at      timestamptz NOT NULL,
  CONSTRAINT pk_idempotency PRIMARY KEY (tenant_id, idempotency_key),
  CONSTRAINT ck_idempotency_key CHECK (length(idempotency_key) BETWEEN 1 AND 255),
  CONSTRAINT ck_idempotency_request_hash CHECK (octet_length(request_hash) = 32)
);
COMMENT ON TABLE fleet.idempotency IS 'The first answer to each Idempotency-Key, written in the transaction of what it did: both are there, or neither.';
CREATE INDEX ix_idempotency_created_at ON fleet.idempotency (created_at);

CREATE FUNCTION fleet.prune_idempotency(before timestamptz, at_most integer) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  WITH gone AS (
    DELETE FROM fleet.idempotency WHERE (tenant_id, idempotency_key) IN (
      SELECT tenant_id, idempotency_key FROM fleet.idempotency WHERE created_at < before
      ORDER BY created_at LIMIT at_most FOR UPDATE SKIP LOCKED)
    RETURNING 1)
  SELECT count(*) FROM gone
$$;
REVOKE ALL ON FUNCTION fleet.prune_idempotency(timestamptz, integer) FROM PUBLIC;

RESET ROLE;
