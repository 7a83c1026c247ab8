SET LOCAL ROLE billfleet_owner;

CREATE TABLE fleet.webhook_endpoints (
  tenant_id       text NOT NULL,
  endpoint_id     text NOT NULL,
  url             text NOT NULL,
  description     text NOT NULL DEFAULT '',
  event_types     text[] NOT NULL DEFAULT '{}',
  created_at      timestamptz NOT NULL,
  failing_since   timestamptz,
  disabled_at     timestamptz,
  disabled_reason text,
  CONSTRAINT pk_webhook_endpoints PRIMARY KEY (tenant_id, endpoint_id),
  CONSTRAINT fk_webhook_endpoints_tenants FOREIGN KEY (tenant_id) REFERENCES business.tenants,
  CONSTRAINT ck_webhook_endpoints_url CHECK (url ~ '^https?://' AND length(url) <= 2000),
  CONSTRAINT ck_webhook_endpoints_disabled CHECK ((disabled_at IS NULL) = (disabled_reason IS NULL))
);
COMMENT ON TABLE fleet.webhook_endpoints IS 'Where a tenant wants to be told. It hears what is announced from then on.';
COMMENT ON COLUMN fleet.webhook_endpoints.event_types IS 'Full types, or families such as billfleet.billing.*; empty: everything of the tenant.';
COMMENT ON COLUMN fleet.webhook_endpoints.failing_since IS 'First of the failures in a row; after five days of them the endpoint is switched off.';

CREATE TABLE fleet.webhook_secrets (
  tenant_id   text NOT NULL,
  endpoint_id text NOT NULL,
  secret_id   bigint GENERATED ALWAYS AS IDENTITY,
  secret      text NOT NULL,
  created_at  timestamptz NOT NULL,
  expires_at  timestamptz,
  CONSTRAINT pk_webhook_secrets PRIMARY KEY (tenant_id, endpoint_id, secret_id),
  CONSTRAINT fk_webhook_secrets_endpoints FOREIGN KEY (tenant_id, endpoint_id)
    REFERENCES fleet.webhook_endpoints ON DELETE CASCADE,
  CONSTRAINT ck_webhook_secrets_secret CHECK (secret ~ '^whsec_')
);
COMMENT ON TABLE fleet.webhook_secrets IS 'What deliveries are signed with. Signing needs the secret itself, so no hash can stand here; only the app role reads it.';

CREATE TABLE fleet.webhook_deliveries (
  tenant_id       text NOT NULL,
  delivery_id     text NOT NULL,
  endpoint_id     text NOT NULL,
  event_id        text NOT NULL,
  event_type      text NOT NULL,
  body            text NOT NULL,
  state           text NOT NULL DEFAULT 'pending',
  attempts_made   integer NOT NULL DEFAULT 0,
  last_status     integer,
  last_error      text,
  next_attempt_at timestamptz,
  created_at      timestamptz NOT NULL,
  ended_at        timestamptz,
  CONSTRAINT pk_webhook_deliveries PRIMARY KEY (tenant_id, delivery_id),
  CONSTRAINT uq_webhook_deliveries_event UNIQUE (tenant_id, endpoint_id, event_id),
  CONSTRAINT fk_webhook_deliveries_endpoints FOREIGN KEY (tenant_id, endpoint_id)
    REFERENCES fleet.webhook_endpoints ON DELETE CASCADE,
  CONSTRAINT ck_webhook_deliveries_state
    CHECK (state IN ('pending', 'delivered', 'failed', 'cancelled')),
  CONSTRAINT ck_webhook_deliveries_ended CHECK ((state = 'pending') = (ended_at IS NULL))
);
COMMENT ON TABLE fleet.webhook_deliveries IS 'The log of deliveries: what each endpoint was told, how often it was tried, and how it ended.';
COMMENT ON COLUMN fleet.webhook_deliveries.state IS 'failed: every attempt failed, and its message rests in the dead-letter queue. cancelled: the endpoint was switched off.';
CREATE INDEX ix_webhook_deliveries_endpoint
  ON fleet.webhook_deliveries (tenant_id, endpoint_id, created_at DESC);
CREATE INDEX ix_webhook_deliveries_ended_at ON fleet.webhook_deliveries (ended_at)
  WHERE ended_at IS NOT NULL;

CREATE TABLE fleet.webhook_attempts (
  tenant_id   text NOT NULL,
  delivery_id text NOT NULL,
  attempt_no  integer NOT NULL,
  started_at  timestamptz NOT NULL,
  duration_ms integer NOT NULL,
  status      integer,
  error       text,
  answer      text,
  CONSTRAINT pk_webhook_attempts PRIMARY KEY (tenant_id, delivery_id, attempt_no),
  CONSTRAINT fk_webhook_attempts_deliveries FOREIGN KEY (tenant_id, delivery_id)
    REFERENCES fleet.webhook_deliveries ON DELETE CASCADE
);
COMMENT ON COLUMN fleet.webhook_attempts.answer IS 'The beginning of what the endpoint answered.';

CREATE TABLE customer.avatars (
  tenant_id   text NOT NULL,
  customer_id text NOT NULL,
  upload_id   text NOT NULL,
  state       text NOT NULL,
  reason      text,
  images      jsonb NOT NULL DEFAULT '[]',
  ended_at    timestamptz NOT NULL,
  CONSTRAINT pk_avatars PRIMARY KEY (tenant_id, customer_id, upload_id),
  CONSTRAINT fk_avatars_tenants FOREIGN KEY (tenant_id) REFERENCES business.tenants,
  CONSTRAINT ck_avatars_state CHECK (state IN ('ready', 'refused')),
  CONSTRAINT ck_avatars_reason CHECK ((state = 'refused') = (reason IS NOT NULL)),
  CONSTRAINT ck_avatars_images CHECK (jsonb_typeof(images) = 'array')
);
COMMENT ON TABLE customer.avatars IS 'Pictures that customers uploaded, and what became of each. The latest that is ready is the customer''s.';
CREATE INDEX ix_avatars_latest ON customer.avatars (tenant_id, customer_id, ended_at DESC)
  WHERE state = 'ready';

RESET ROLE;
