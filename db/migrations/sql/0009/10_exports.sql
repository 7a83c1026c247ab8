-- What was asked for as a file of rows, how far it has come, and what it became. The file itself is
-- a row of fleet.files with the same id, which is where it expires and is revoked.
SET LOCAL ROLE billfleet_owner;

CREATE TABLE fleet.exports (
  tenant_id    text NOT NULL,
  export_id    uuid NOT NULL,
  dataset      text NOT NULL,
  format       text NOT NULL,
  filters      jsonb NOT NULL DEFAULT '{}',
  columns      text[] NOT NULL DEFAULT '{}',
  locale       text NOT NULL,
  notify       jsonb NOT NULL DEFAULT '{}',
  state        text NOT NULL DEFAULT 'requested',
  tries        integer NOT NULL DEFAULT 0,
  run_id       uuid,
  leased_until timestamptz,
  rows_written bigint NOT NULL DEFAULT 0,
  bytes_count  bigint NOT NULL DEFAULT 0,
  failure      text,
  manifest     jsonb,
  work_id      text NOT NULL,
  requested_at timestamptz NOT NULL,
  cancel_at    timestamptz,
  started_at   timestamptz,
  finished_at  timestamptz,
  CONSTRAINT pk_exports PRIMARY KEY (tenant_id, export_id),
  CONSTRAINT fk_exports_tenants FOREIGN KEY (tenant_id) REFERENCES business.tenants,
  CONSTRAINT ck_exports_format CHECK (format IN ('csv', 'ndjson', 'parquet', 'xlsx', 'pdf')),
  CONSTRAINT ck_exports_state CHECK (state IN ('requested', 'running', 'ready', 'failed', 'cancelled')),
  CONSTRAINT ck_exports_running
    CHECK ((state = 'running') = (run_id IS NOT NULL) AND (run_id IS NULL) = (leased_until IS NULL)),
  CONSTRAINT ck_exports_ready CHECK ((state = 'ready') = (manifest IS NOT NULL)),
  CONSTRAINT ck_exports_failed CHECK ((state = 'failed') = (failure IS NOT NULL)),
  CONSTRAINT ck_exports_finished
    CHECK ((state IN ('ready', 'failed', 'cancelled')) = (finished_at IS NOT NULL))
);
COMMENT ON TABLE fleet.exports IS 'Exports that were asked for, with their progress. A run that lost its lease to another can neither report nor publish.';
COMMENT ON COLUMN fleet.exports.manifest IS 'What the file holds: rows, bytes, SHA-256, columns, and the snapshot that it was read from.';
COMMENT ON COLUMN fleet.exports.cancel_at IS 'When somebody asked for it to be stopped; the run sees it at its next part.';

CREATE INDEX ix_exports_newest ON fleet.exports (tenant_id, requested_at DESC);
CREATE INDEX ix_exports_running ON fleet.exports (tenant_id, leased_until) WHERE state = 'running';

GRANT SELECT, INSERT ON fleet.exports TO billfleet_app;
GRANT UPDATE (state, tries, run_id, leased_until, rows_written, bytes_count, failure, manifest, cancel_at,
              started_at, finished_at)
  ON fleet.exports TO billfleet_app;

-- Workers see every export; the front door sees, asks for and stops those of its one tenant.
ALTER TABLE fleet.exports ENABLE ROW LEVEL SECURITY;
CREATE POLICY every_tenant ON fleet.exports TO billfleet_app USING (true);
CREATE POLICY one_tenant ON fleet.exports TO billfleet_gateway
  USING (tenant_id = (SELECT current_setting('billfleet.tenant', true)));
GRANT SELECT, INSERT ON fleet.exports TO billfleet_gateway;
GRANT UPDATE (cancel_at) ON fleet.exports TO billfleet_gateway;

RESET ROLE;
