CREATE TABLE billing.accounts (
  tenant_id              text NOT NULL,
  account_id             text NOT NULL,
  customer_id            text NOT NULL,
  plan_id                text,
  amount_minor           bigint NOT NULL,
  currency               text NOT NULL,
  interval_months        integer NOT NULL DEFAULT 1,
  commitment_months      integer NOT NULL DEFAULT 1,
  anchor_day             smallint NOT NULL,
  time_zone              text NOT NULL,
  rebilling_date         date NOT NULL,
  state                  text NOT NULL DEFAULT 'ACTIVE',
  generation             integer NOT NULL DEFAULT 0,
  parked_at              timestamptz,
  parked_reason          text,
  past_due_since         timestamptz,
  payment_method         text,
  payment_method_version integer NOT NULL DEFAULT 1,
  created_at             timestamptz NOT NULL DEFAULT now(),
  updated_at             timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT pk_accounts PRIMARY KEY (tenant_id, account_id),
  CONSTRAINT fk_accounts_customers FOREIGN KEY (tenant_id, customer_id) REFERENCES customer.customers,
  CONSTRAINT fk_accounts_plans FOREIGN KEY (tenant_id, plan_id) REFERENCES business.plans,
  CONSTRAINT ck_accounts_account_id CHECK (account_id ~ '^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$'),
  CONSTRAINT ck_accounts_amount_minor CHECK (amount_minor >= 0),
  CONSTRAINT ck_accounts_currency CHECK (currency ~ '^[A-Z]{3}$'),
  CONSTRAINT ck_accounts_interval_months CHECK (interval_months BETWEEN 1 AND 120),
  CONSTRAINT ck_accounts_commitment_months CHECK (commitment_months >= 1),
  CONSTRAINT ck_accounts_anchor_day CHECK (anchor_day BETWEEN 1 AND 31),
  CONSTRAINT ck_accounts_rebilling_date CHECK (rebilling_date BETWEEN '1900-01-01' AND '2999-12-31'),
  CONSTRAINT ck_accounts_state CHECK (state IN ('PENDING', 'ACTIVE', 'PAST_DUE', 'INACTIVE')),
  CONSTRAINT ck_accounts_parked CHECK ((parked_at IS NULL) = (parked_reason IS NULL))
);
COMMENT ON TABLE billing.accounts IS 'One thing that a customer is billed for, again and again.';
COMMENT ON COLUMN billing.accounts.anchor_day IS 'Day of month that every billing date is computed from; clamped in short months.';
COMMENT ON COLUMN billing.accounts.rebilling_date IS 'First day of the next period that is not yet billed, in the account''s own zone.';
COMMENT ON COLUMN billing.accounts.state IS 'PENDING: a payment''s outcome is unknown. PAST_DUE: a due bill is unpaid. INACTIVE: no longer billed.';
COMMENT ON COLUMN billing.accounts.generation IS 'Raised by hand to let work of the same period be enqueued again.';
COMMENT ON COLUMN billing.accounts.parked_at IS 'Set when billing looked runaway; nothing is billed until someone unparks it.';
COMMENT ON COLUMN billing.accounts.payment_method_version IS 'Raised when the customer changes how to pay; allows one immediate retry.';

-- The sweep walks by account. With the date as the last column, accounts that are not due are passed
-- over inside the index, and no page has to sort all that is due.
CREATE INDEX ix_accounts_due ON billing.accounts (tenant_id, account_id, rebilling_date)
  WHERE parked_at IS NULL AND state <> 'INACTIVE';

CREATE TRIGGER accounts_time_zone BEFORE INSERT OR UPDATE OF time_zone ON billing.accounts
  FOR EACH ROW EXECUTE FUNCTION business.refuse_unknown_time_zone();

-- INACTIVE comes back only as ACTIVE: a debt or an open question belongs to a living account.
CREATE FUNCTION billing.refuse_illegal_state() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.state = 'INACTIVE' AND NEW.state <> 'ACTIVE' THEN
    RAISE EXCEPTION 'account % of tenant % cannot go from % to %: reactivate it first',
        OLD.account_id, OLD.tenant_id, OLD.state, NEW.state
      USING ERRCODE = 'check_violation',
            CONSTRAINT = 'ck_accounts_state_transition',
            SCHEMA = TG_TABLE_SCHEMA,
            TABLE = TG_TABLE_NAME;
  END IF;
  RETURN NEW;
END
$$;

CREATE TRIGGER accounts_state_transition BEFORE UPDATE OF state ON billing.accounts
  FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state)
  EXECUTE FUNCTION billing.refuse_illegal_state();
