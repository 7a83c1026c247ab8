-- What people were given as a file. The bytes lie in the object store; whether they may still be
-- opened is said here, so that a link can be revoked and can expire whatever the store thinks.
SET LOCAL ROLE billfleet_owner;

CREATE TABLE fleet.files (
  tenant_id      text NOT NULL,
  file_id        uuid NOT NULL,
  kind           text NOT NULL,
  object_key     text NOT NULL,
  file_name      text NOT NULL,
  content_type   text NOT NULL,
  bytes_count    bigint NOT NULL,
  sha256         text NOT NULL,
  owner          jsonb NOT NULL DEFAULT '{}',
  created_at     timestamptz NOT NULL DEFAULT now(),
  expires_at     timestamptz NOT NULL,
  revoked_at     timestamptz,
  revoked_reason text,
  CONSTRAINT pk_files PRIMARY KEY (tenant_id, file_id),
  CONSTRAINT fk_files_tenants FOREIGN KEY (tenant_id) REFERENCES business.tenants,
  CONSTRAINT uq_files_object_key UNIQUE (object_key),
  CONSTRAINT ck_files_kind CHECK (kind ~ '^[a-z][a-z0-9-]{0,30}$'),
  CONSTRAINT ck_files_object_key CHECK (starts_with(object_key, kind || '/' || tenant_id || '/')),
  CONSTRAINT ck_files_bytes_count CHECK (bytes_count >= 0),
  CONSTRAINT ck_files_sha256 CHECK (sha256 ~ '^[0-9a-f]{64}$'),
  CONSTRAINT ck_files_expires_at CHECK (expires_at > created_at),
  CONSTRAINT ck_files_owner CHECK (jsonb_typeof(owner) = 'object'),
  CONSTRAINT ck_files_revoked CHECK ((revoked_at IS NULL) = (revoked_reason IS NULL))
);
COMMENT ON TABLE fleet.files IS 'Files that people were given, with what a link needs to know: expired, revoked, whose.';
COMMENT ON COLUMN fleet.files.owner IS 'Whom it concerns, such as {"account_id": "acc-1"}; for finding, not for permission.';

CREATE INDEX ix_files_newest ON fleet.files (tenant_id, kind, created_at DESC);

GRANT SELECT, INSERT ON fleet.files TO billfleet_app;
GRANT UPDATE (revoked_at, revoked_reason) ON fleet.files TO billfleet_app;

RESET ROLE;
