CREATE TABLE business.tenants (
  tenant_id  text NOT NULL,
  name       text NOT NULL,
  time_zone  text NOT NULL DEFAULT 'UTC',
  currency   text NOT NULL,
  dunning    jsonb NOT NULL DEFAULT '{}',
  created_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT pk_tenants PRIMARY KEY (tenant_id),
  CONSTRAINT ck_tenants_tenant_id CHECK (tenant_id ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
  CONSTRAINT ck_tenants_currency CHECK (currency ~ '^[A-Z]{3}$'),
  CONSTRAINT ck_tenants_dunning CHECK (jsonb_typeof(dunning) = 'object')
);
COMMENT ON TABLE business.tenants IS 'A company that bills its customers through the fleet.';
COMMENT ON COLUMN business.tenants.time_zone IS 'IANA zone that new accounts take over unless they name their own.';
COMMENT ON COLUMN business.tenants.dunning IS 'When declined payments are tried again; {} is the policy of the house.';

CREATE TRIGGER tenants_time_zone BEFORE INSERT OR UPDATE OF time_zone ON business.tenants
  FOR EACH ROW EXECUTE FUNCTION business.refuse_unknown_time_zone();

CREATE TABLE business.plans (
  tenant_id       text NOT NULL,
  plan_id         text NOT NULL,
  name            text NOT NULL,
  amount_minor    bigint NOT NULL,
  currency        text NOT NULL,
  interval_months integer NOT NULL DEFAULT 1,
  created_at      timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT pk_plans PRIMARY KEY (tenant_id, plan_id),
  CONSTRAINT fk_plans_tenants FOREIGN KEY (tenant_id) REFERENCES business.tenants,
  CONSTRAINT ck_plans_amount_minor CHECK (amount_minor >= 0),
  CONSTRAINT ck_plans_currency CHECK (currency ~ '^[A-Z]{3}$'),
  CONSTRAINT ck_plans_interval_months CHECK (interval_months BETWEEN 1 AND 120)
);
COMMENT ON TABLE business.plans IS 'What a tenant sells. Accounts copy the price, so that changing a plan bills nobody anew.';

CREATE TABLE customer.customers (
  tenant_id   text NOT NULL,
  customer_id text NOT NULL,
  name        text NOT NULL,
  email       text,
  locale      text NOT NULL DEFAULT 'en-US',
  created_at  timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT pk_customers PRIMARY KEY (tenant_id, customer_id),
  CONSTRAINT fk_customers_tenants FOREIGN KEY (tenant_id) REFERENCES business.tenants
);
COMMENT ON TABLE customer.customers IS 'A person or company that a tenant bills.';
