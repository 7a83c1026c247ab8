CREATE TABLE analytics.raw_files (
  file_id     uuid NOT NULL,
  tenant_id   text NOT NULL,
  day         date NOT NULL,
  object_key  text NOT NULL,
  rows        bigint NOT NULL,
  bytes_count bigint NOT NULL,
  sha256      text NOT NULL,
  state       text NOT NULL DEFAULT 'live',
  replaced_by uuid,
  created_at  timestamptz NOT NULL,
  replaced_at timestamptz,
  CONSTRAINT pk_raw_files PRIMARY KEY (file_id),
  CONSTRAINT uq_raw_files_object_key UNIQUE (object_key),
  CONSTRAINT ck_raw_files_state CHECK (state IN ('live', 'replaced', 'deleted')),
  CONSTRAINT ck_raw_files_replaced CHECK ((state = 'live') = (replaced_at IS NULL)
    AND (replaced_at IS NULL) = (replaced_by IS NULL))
);
COMMENT ON TABLE analytics.raw_files IS 'The manifest of raw events in the object store: the live files hold every exported event once.';
COMMENT ON COLUMN analytics.raw_files.day IS 'The UTC day on which its events occurred.';
CREATE INDEX ix_raw_files_live ON analytics.raw_files (tenant_id, day) WHERE state = 'live';
CREATE INDEX ix_raw_files_replaced ON analytics.raw_files (replaced_at) WHERE state = 'replaced';

CREATE TABLE analytics.export_mark (
  is_the_only_row boolean NOT NULL DEFAULT true,
  xact            xid8 NOT NULL DEFAULT '0',
  event_no        bigint NOT NULL DEFAULT 0,
  CONSTRAINT pk_export_mark PRIMARY KEY (is_the_only_row),
  CONSTRAINT ck_export_mark_only_row CHECK (is_the_only_row)
);
COMMENT ON TABLE analytics.export_mark IS 'The last event that lies in the object store. Whoever exports holds this row.';
INSERT INTO analytics.export_mark DEFAULT VALUES;

CREATE TABLE analytics.report_readers (
  tenant_id  text NOT NULL,
  contact_id text NOT NULL,
  period     text NOT NULL,
  CONSTRAINT pk_report_readers PRIMARY KEY (tenant_id, contact_id, period),
  CONSTRAINT fk_report_readers_tenants FOREIGN KEY (tenant_id) REFERENCES business.tenants,
  CONSTRAINT ck_report_readers_period CHECK (period IN ('day', 'week', 'month'))
);
COMMENT ON TABLE analytics.report_readers IS 'Which contact of a tenant is told of which reports.';

CREATE TABLE analytics.reports (
  tenant_id  text NOT NULL,
  report_id  text NOT NULL,
  report     text NOT NULL,
  period     text NOT NULL,
  first_day  date NOT NULL,
  last_day   date NOT NULL,
  as_of      timestamptz NOT NULL,
  title      text NOT NULL,
  files      jsonb NOT NULL,
  created_at timestamptz NOT NULL,
  CONSTRAINT pk_reports PRIMARY KEY (tenant_id, report_id),
  CONSTRAINT fk_reports_tenants FOREIGN KEY (tenant_id) REFERENCES business.tenants,
  CONSTRAINT ck_reports_period CHECK (period IN ('day', 'week', 'month')),
  CONSTRAINT ck_reports_days CHECK (first_day <= last_day)
);
COMMENT ON TABLE analytics.reports IS 'Reports that were made: of which days, as of when, and in which files they lie.';
CREATE INDEX ix_reports_days ON analytics.reports (tenant_id, period, first_day);
