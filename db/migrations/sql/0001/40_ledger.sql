CREATE TABLE billing.ledger_accounts (
  ledger_account_id bigint GENERATED ALWAYS AS IDENTITY,
  tenant_id         text NOT NULL,
  kind              text NOT NULL,
  account_id        text,
  currency          text NOT NULL,
  CONSTRAINT pk_ledger_accounts PRIMARY KEY (ledger_account_id),
  CONSTRAINT uq_ledger_accounts_natural UNIQUE NULLS NOT DISTINCT (tenant_id, kind, account_id, currency),
  CONSTRAINT uq_ledger_accounts_side UNIQUE (ledger_account_id, tenant_id, currency),
  CONSTRAINT fk_ledger_accounts_tenants FOREIGN KEY (tenant_id) REFERENCES business.tenants,
  CONSTRAINT fk_ledger_accounts_accounts FOREIGN KEY (tenant_id, account_id) REFERENCES billing.accounts,
  CONSTRAINT ck_ledger_accounts_kind CHECK (kind IN ('receivable', 'revenue', 'cash', 'bad_debt')),
  CONSTRAINT ck_ledger_accounts_currency CHECK (currency ~ '^[A-Z]{3}$'),
  CONSTRAINT ck_ledger_accounts_account CHECK ((kind = 'receivable') = (account_id IS NOT NULL))
);
COMMENT ON TABLE billing.ledger_accounts IS 'A side that transfers can have: one receivable per account, and revenue, cash and bad debt per tenant and currency.';

CREATE TABLE billing.transfers (
  transfer_id  bigint GENERATED ALWAYS AS IDENTITY,
  tenant_id    text NOT NULL,
  transfer_key text NOT NULL,
  kind         text NOT NULL,
  account_id   text NOT NULL,
  period_start date NOT NULL,
  debit_id     bigint NOT NULL,
  credit_id    bigint NOT NULL,
  amount_minor bigint NOT NULL,
  currency     text NOT NULL,
  reverses     bigint,
  reason       text,
  work_id      text NOT NULL,
  posted_at    timestamptz NOT NULL DEFAULT now(),
  xact         xid8 NOT NULL DEFAULT pg_current_xact_id(),
  CONSTRAINT pk_transfers PRIMARY KEY (transfer_id),
  CONSTRAINT uq_transfers_key UNIQUE (tenant_id, transfer_key),
  CONSTRAINT fk_transfers_accounts FOREIGN KEY (tenant_id, account_id) REFERENCES billing.accounts,
  CONSTRAINT fk_transfers_debit FOREIGN KEY (debit_id, tenant_id, currency)
    REFERENCES billing.ledger_accounts (ledger_account_id, tenant_id, currency),
  CONSTRAINT fk_transfers_credit FOREIGN KEY (credit_id, tenant_id, currency)
    REFERENCES billing.ledger_accounts (ledger_account_id, tenant_id, currency),
  CONSTRAINT fk_transfers_reverses FOREIGN KEY (reverses) REFERENCES billing.transfers,
  CONSTRAINT ck_transfers_kind CHECK (kind IN ('charge', 'payment', 'refund', 'reversal', 'write_off')),
  CONSTRAINT ck_transfers_amount_minor CHECK (amount_minor >= 0),
  CONSTRAINT ck_transfers_sides CHECK (debit_id <> credit_id),
  CONSTRAINT ck_transfers_reverses CHECK ((kind = 'reversal') = (reverses IS NOT NULL))
);
COMMENT ON TABLE billing.transfers IS 'The ledger. One row moves one amount from a credit to a debit side of one tenant and currency, so it balances by construction. Rows are never changed.';
COMMENT ON COLUMN billing.transfers.transfer_key IS 'What makes two postings the same one: charge:<account>:<period>, payment:<attempt key>, refund:<key>, reversal:<transfer id>.';
COMMENT ON COLUMN billing.transfers.work_id IS 'Id of the envelope, or of the command, that caused the posting.';
COMMENT ON COLUMN billing.transfers.xact IS 'Transaction that posted the row. Seals follow this order, because a row with a smaller id can become visible later.';

CREATE UNIQUE INDEX uq_transfers_charge_period ON billing.transfers (tenant_id, account_id, period_start)
  WHERE kind = 'charge';
CREATE UNIQUE INDEX uq_transfers_reverses ON billing.transfers (reverses) WHERE reverses IS NOT NULL;
CREATE INDEX ix_transfers_account ON billing.transfers (tenant_id, account_id, transfer_id);
CREATE INDEX ix_transfers_xact ON billing.transfers (tenant_id, xact, transfer_id);

CREATE TABLE billing.seals (
  tenant_id         text NOT NULL,
  seal_no           bigint NOT NULL,
  first_transfer_id bigint NOT NULL,
  last_transfer_id  bigint NOT NULL,
  last_xact         xid8 NOT NULL,
  rows              bigint NOT NULL,
  previous_hash     bytea NOT NULL,
  hash              bytea NOT NULL,
  sealed_at         timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT pk_seals PRIMARY KEY (tenant_id, seal_no),
  CONSTRAINT fk_seals_tenants FOREIGN KEY (tenant_id) REFERENCES business.tenants,
  CONSTRAINT ck_seals_seal_no CHECK (seal_no >= 1),
  CONSTRAINT ck_seals_rows CHECK (rows >= 1),
  CONSTRAINT ck_seals_hashes CHECK (octet_length(previous_hash) = 32 AND octet_length(hash) = 32)
);
COMMENT ON TABLE billing.seals IS 'The hash chain over a tenant''s transfers: each seal covers the rows after the last one, in the order (xact, transfer_id), and the seal before it.';
COMMENT ON COLUMN billing.seals.last_xact IS 'With last_transfer_id: the position of the last row covered. Everything up to it was decided when the seal was made.';

CREATE TRIGGER ledger_accounts_append_only BEFORE UPDATE OR DELETE ON billing.ledger_accounts
  FOR EACH ROW EXECUTE FUNCTION billing.refuse_change();
CREATE TRIGGER ledger_accounts_no_truncate BEFORE TRUNCATE ON billing.ledger_accounts
  FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change();
CREATE TRIGGER transfers_append_only BEFORE UPDATE OR DELETE ON billing.transfers
  FOR EACH ROW EXECUTE FUNCTION billing.refuse_change();
CREATE TRIGGER transfers_no_truncate BEFORE TRUNCATE ON billing.transfers
  FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change();
CREATE TRIGGER seals_append_only BEFORE UPDATE OR DELETE ON billing.seals
  FOR EACH ROW EXECUTE FUNCTION billing.refuse_change();
CREATE TRIGGER seals_no_truncate BEFORE TRUNCATE ON billing.seals
  FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change();

ALTER TABLE billing.ledger_accounts ENABLE ALWAYS TRIGGER ledger_accounts_append_only;
ALTER TABLE billing.ledger_accounts ENABLE ALWAYS TRIGGER ledger_accounts_no_truncate;
ALTER TABLE billing.transfers ENABLE ALWAYS TRIGGER transfers_append_only;
ALTER TABLE billing.transfers ENABLE ALWAYS TRIGGER transfers_no_truncate;
ALTER TABLE billing.seals ENABLE ALWAYS TRIGGER seals_append_only;
ALTER TABLE billing.seals ENABLE ALWAYS TRIGGER seals_no_truncate;
