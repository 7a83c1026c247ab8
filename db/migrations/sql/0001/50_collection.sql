CREATE TABLE billing.bills (
  tenant_id          text NOT NULL,
  account_id         text NOT NULL,
  period_start       date NOT NULL,
  period_end         date NOT NULL,
  amount_minor       bigint NOT NULL,
  currency           text NOT NULL,
  charge_transfer_id bigint NOT NULL,
  state              text NOT NULL DEFAULT 'open',
  attempts_made      integer NOT NULL DEFAULT 0,
  next_attempt_at    timestamptz,
  first_failed_at    timestamptz,
  collection_note    text,
  paid_at            timestamptz,
  created_at         timestamptz NOT NULL DEFAULT now(),
  -- With created_at, an account's charges of the day are counted without reading its old bills.
  CONSTRAINT pk_bills PRIMARY KEY (tenant_id, account_id, period_start) INCLUDE (created_at),
  CONSTRAINT uq_bills_charge_transfer UNIQUE (charge_transfer_id),
  CONSTRAINT fk_bills_accounts FOREIGN KEY (tenant_id, account_id) REFERENCES billing.accounts,
  CONSTRAINT fk_bills_transfers FOREIGN KEY (charge_transfer_id) REFERENCES billing.transfers,
  CONSTRAINT ck_bills_period CHECK (period_end >= period_start),
  CONSTRAINT ck_bills_amount_minor CHECK (amount_minor >= 0),
  CONSTRAINT ck_bills_currency CHECK (currency ~ '^[A-Z]{3}$'),
  CONSTRAINT ck_bills_state CHECK (state IN ('open', 'paid', 'uncollectible', 'void')),
  CONSTRAINT ck_bills_attempts_made CHECK (attempts_made >= 0)
) WITH (autovacuum_analyze_scale_factor = 0.02);
COMMENT ON TABLE billing.bills IS 'What one account owes for one period, and how far collecting it has come.';
COMMENT ON COLUMN billing.bills.period_end IS 'Last day of the period, inclusive.';
COMMENT ON COLUMN billing.bills.next_attempt_at IS 'When collecting is due again; NULL when nothing will be tried by itself.';
COMMENT ON COLUMN billing.bills.first_failed_at IS 'What the dunning schedule counts from.';
COMMENT ON COLUMN billing.bills.collection_note IS 'Why an open bill is not being collected: below_minimum, exhausted, hard_decline …';

-- In the very order in which the collect sweep walks, so that no page sorts all that is due.
CREATE INDEX ix_bills_next_attempt
  ON billing.bills (next_attempt_at, tenant_id, account_id, period_start)
  WHERE state = 'open' AND next_attempt_at IS NOT NULL;

CREATE TABLE billing.attempts (
  tenant_id         text NOT NULL,
  account_id        text NOT NULL,
  period_start      date NOT NULL,
  attempt_no        integer NOT NULL,
  attempt_key       text NOT NULL,
  gateway           text NOT NULL,
  request_body      text NOT NULL,
  amount_minor      bigint NOT NULL,
  currency          text NOT NULL,
  state             text NOT NULL DEFAULT 'prepared',
  gateway_reference text,
  decline_code      text,
  decline_kind      text,
  error             text,
  leased_until      timestamptz,
  lease_token       text,
  checks_made       integer NOT NULL DEFAULT 0,
  next_check_at     timestamptz,
  work_id           text NOT NULL,
  created_at        timestamptz NOT NULL DEFAULT now(),
  concluded_at      timestamptz,
  CONSTRAINT pk_attempts PRIMARY KEY (tenant_id, account_id, period_start, attempt_no),
  CONSTRAINT uq_attempts_key UNIQUE (attempt_key, tenant_id),
  CONSTRAINT fk_attempts_bills FOREIGN KEY (tenant_id, account_id, period_start) REFERENCES billing.bills,
  CONSTRAINT ck_attempts_attempt_no CHECK (attempt_no >= 1),
  CONSTRAINT ck_attempts_key_length CHECK (length(attempt_key) BETWEEN 1 AND 255),
  CONSTRAINT ck_attempts_amount_minor CHECK (amount_minor >= 0),
  CONSTRAINT ck_attempts_currency CHECK (currency ~ '^[A-Z]{3}$'),
  CONSTRAINT ck_attempts_state CHECK (state IN ('prepared', 'succeeded', 'declined', 'unknown', 'not_sent')),
  CONSTRAINT ck_attempts_decline_kind CHECK (decline_kind IN ('soft', 'hard')),
  CONSTRAINT ck_attempts_checks_made CHECK (checks_made >= 0)
) WITH (autovacuum_analyze_scale_factor = 0.02);
COMMENT ON TABLE billing.attempts IS 'One try at collecting a bill. Key and body are saved before the gateway is called and never change, so that a second call is the same call.';
COMMENT ON COLUMN billing.attempts.attempt_key IS 'Idempotency key that the gateway sees; made of tenant, account, period and attempt number.';
COMMENT ON COLUMN billing.attempts.state IS 'prepared: saved, perhaps sent. unknown: sent, and the answer was lost; asked for until it is known. not_sent: known never to have left us.';

CREATE UNIQUE INDEX uq_attempts_unresolved ON billing.attempts (tenant_id, account_id)
  WHERE state IN ('prepared', 'unknown');
CREATE INDEX ix_attempts_next_check ON billing.attempts (next_check_at) WHERE state = 'unknown';
CREATE INDEX ix_attempts_leased_until ON billing.attempts (leased_until) WHERE state = 'prepared';

CREATE TABLE billing.gateway_events (
  tenant_id        text NOT NULL,
  gateway          text NOT NULL,
  gateway_event_id text NOT NULL,
  attempt_key      text NOT NULL,
  result           text NOT NULL,
  received_at      timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT pk_gateway_events PRIMARY KEY (tenant_id, gateway, gateway_event_id)
);
COMMENT ON TABLE billing.gateway_events IS 'Webhooks already taken in. May name an attempt whose answer has not arrived yet.';

CREATE TABLE billing.refusals (
  refusal_id   bigint GENERATED ALWAYS AS IDENTITY,
  tenant_id    text NOT NULL,
  account_id   text NOT NULL,
  period_start date,
  reason       text NOT NULL,
  work_id      text,
  refused_at   timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT pk_refusals PRIMARY KEY (refusal_id)
);
COMMENT ON TABLE billing.refusals IS 'Why a period was not billed: parked, inactive, beyond the horizon, unknown account.';
CREATE INDEX ix_refusals_account ON billing.refusals (tenant_id, account_id, period_start);
