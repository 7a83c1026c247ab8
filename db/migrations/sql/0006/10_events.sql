CREATE SCHEMA analytics AUTHORIZATION billfleet_owner;

SET LOCAL ROLE billfleet_owner;

COMMENT ON SCHEMA analytics IS 'What happened, once each, and what is counted from it.';

CREATE TABLE analytics.tenants (
  tenant_id  text NOT NULL,
  time_zone  text NOT NULL,
  policy     jsonb NOT NULL DEFAULT '{}',
  created_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT pk_tenants PRIMARY KEY (tenant_id),
  CONSTRAINT fk_tenants_tenants FOREIGN KEY (tenant_id) REFERENCES business.tenants,
  CONSTRAINT ck_tenants_policy CHECK (jsonb_typeof(policy) = 'object')
);
COMMENT ON TABLE analytics.tenants IS 'How a tenant''s events are counted. The zone is the one its first event was counted in: days that have been reported do not move when the tenant does.';
COMMENT ON COLUMN analytics.tenants.policy IS 'Which events are admitted; {} is the policy of the house.';

CREATE TABLE analytics.books (
  is_the_only_row boolean NOT NULL DEFAULT true,
  closed_until    timestamptz NOT NULL DEFAULT '-infinity',
  CONSTRAINT pk_books PRIMARY KEY (is_the_only_row),
  CONSTRAINT ck_books_only_row CHECK (is_the_only_row)
);
COMMENT ON TABLE analytics.books IS 'Up to when the books are closed: no event is ever stored before that instant any more, so what a report counted as of then stays counted.';
INSERT INTO analytics.books DEFAULT VALUES;

CREATE TABLE analytics.events (
  tenant_id    text NOT NULL,
  source       text NOT NULL,
  event_id     text NOT NULL,
  event_no     bigint GENERATED ALWAYS AS IDENTITY,
  xact         xid8 NOT NULL DEFAULT pg_current_xact_id(),
  payload_hash text NOT NULL,
  name         text NOT NULL,
  occurred_at  timestamptz NOT NULL,
  stored_at    timestamptz NOT NULL,
  hour_start   timestamptz NOT NULL,
  local_day    date NOT NULL,
  brand_id     text NOT NULL DEFAULT '',
  store_id     text NOT NULL DEFAULT '',
  customer_id  text,
  amount_minor bigint,
  currency     text NOT NULL DEFAULT '',
  properties   jsonb NOT NULL DEFAULT '{}',
  CONSTRAINT pk_events PRIMARY KEY (tenant_id, source, event_id),
  CONSTRAINT ck_events_amount_minor CHECK ((amount_minor IS NULL) = (currency = ''))
);
COMMENT ON TABLE analytics.events IS 'Every event that was counted. Its key is what makes a second one a duplicate, however late it comes; rows are never changed.';
COMMENT ON COLUMN analytics.events.xact IS 'Transaction that stored the row. The export to the object store follows this order, because a row with a smaller number can become visible later.';
COMMENT ON COLUMN analytics.events.hour_start IS 'When the hour of the tenant''s wall clock began in which it occurred.';
CREATE INDEX ix_events_order ON analytics.events (xact, event_no);
CREATE INDEX ix_events_name ON analytics.events (tenant_id, name, hour_start);
-- Events are stored in the order of stored_at, so a few pages of summary find the last hour's.
CREATE INDEX ix_events_stored_at ON analytics.events USING brin (stored_at) WITH (pages_per_range = 16);

CREATE TABLE analytics.quarantine (
  tenant_id    text NOT NULL,
  source       text NOT NULL,
  event_id     text NOT NULL,
  payload_hash text NOT NULL,
  reason       text NOT NULL,
  refused      jsonb NOT NULL,
  kept         jsonb,
  refused_at   timestamptz NOT NULL,
  CONSTRAINT pk_quarantine PRIMARY KEY (tenant_id, source, event_id, payload_hash),
  CONSTRAINT ck_quarantine_reason CHECK (reason IN ('other_payload', 'from_the_future',
    'too_old', 'unknown_name', 'oversized_properties')),
  CONSTRAINT ck_quarantine_kept CHECK ((reason = 'other_payload') = (kept IS NOT NULL))
);
COMMENT ON TABLE analytics.quarantine IS 'Events that were not counted, and why. Where the id was another event before, both versions.';
CREATE INDEX ix_quarantine_refused_at ON analytics.quarantine (tenant_id, refused_at);

CREATE TABLE analytics.buckets (
  tenant_id    text NOT NULL,
  name         text NOT NULL,
  hour_start   timestamptz NOT NULL,
  brand_id     text NOT NULL,
  store_id     text NOT NULL,
  currency     text NOT NULL,
  stored_hour  timestamptz NOT NULL,
  local_day    date NOT NULL,
  events       bigint NOT NULL,
  amount_minor numeric NOT NULL,
  is_dirty     boolean NOT NULL DEFAULT true,
  CONSTRAINT pk_buckets PRIMARY KEY
    (tenant_id, name, hour_start, brand_id, store_id, currency, stored_hour),
  CONSTRAINT ck_buckets_events CHECK (events >= 1)
) WITH (fillfactor = 80);
COMMENT ON TABLE analytics.buckets IS 'What an hour of the tenant''s wall clock counted, split by the hour in which it became known. A late event adds to a row of its own time, so that older rows, and the reports made of them, stay as they were.';
COMMENT ON COLUMN analytics.buckets.is_dirty IS 'Events have come since its sketches were made.';
CREATE INDEX ix_buckets_dirty ON analytics.buckets (tenant_id, name, hour_start) WHERE is_dirty;

CREATE TABLE analytics.sketches (
  tenant_id   text NOT NULL,
  name        text NOT NULL,
  hour_start  timestamptz NOT NULL,
  brand_id    text NOT NULL,
  store_id    text NOT NULL,
  currency    text NOT NULL,
  stored_hour timestamptz NOT NULL,
  customers   bytea NOT NULL,
  amounts     bytea NOT NULL,
  computed_at timestamptz NOT NULL,
  CONSTRAINT pk_sketches PRIMARY KEY
    (tenant_id, name, hour_start, brand_id, store_id, currency, stored_hour),
  CONSTRAINT fk_sketches_buckets FOREIGN KEY
    (tenant_id, name, hour_start, brand_id, store_id, currency, stored_hour)
    REFERENCES analytics.buckets ON DELETE CASCADE
);
COMMENT ON TABLE analytics.sketches IS 'Who was seen (HyperLogLog) and what was spent (DDSketch) in a bucket; any of them may be merged.';
