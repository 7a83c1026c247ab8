CREATE SCHEMA loyalty AUTHORIZATION billfleet_owner;

SET LOCAL ROLE billfleet_owner;

COMMENT ON SCHEMA loyalty IS 'What customers collect: programmes, cards, lots of points, stamps, rewards.';

CREATE TABLE business.brands (
  tenant_id  text NOT NULL,
  brand_id   text NOT NULL,
  name       text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT pk_brands PRIMARY KEY (tenant_id, brand_id),
  CONSTRAINT fk_brands_tenants FOREIGN KEY (tenant_id) REFERENCES business.tenants
);
COMMENT ON TABLE business.brands IS 'A name under which a tenant sells. Programmes and stores belong to one.';

CREATE TABLE business.stores (
  tenant_id  text NOT NULL,
  store_id   text NOT NULL,
  brand_id   text NOT NULL,
  name       text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT pk_stores PRIMARY KEY (tenant_id, store_id),
  CONSTRAINT fk_stores_brands FOREIGN KEY (tenant_id, brand_id) REFERENCES business.brands
);
COMMENT ON TABLE business.stores IS 'Where purchases are made.';

CREATE TABLE business.staff (
  tenant_id  text NOT NULL,
  staff_id   text NOT NULL,
  store_id   text,
  name       text NOT NULL,
  role       text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT pk_staff PRIMARY KEY (tenant_id, staff_id),
  CONSTRAINT fk_staff_tenants FOREIGN KEY (tenant_id) REFERENCES business.tenants,
  CONSTRAINT fk_staff_stores FOREIGN KEY (tenant_id, store_id) REFERENCES business.stores,
  CONSTRAINT ck_staff_role CHECK (role IN ('owner', 'manager', 'clerk'))
);
COMMENT ON TABLE business.staff IS 'Who works for a tenant; without a store, for all of them.';

CREATE TABLE customer.consents (
  tenant_id   text NOT NULL,
  customer_id text NOT NULL,
  purpose     text NOT NULL,
  is_given    boolean NOT NULL,
  decided_at  timestamptz NOT NULL,
  CONSTRAINT pk_consents PRIMARY KEY (tenant_id, customer_id, purpose, decided_at),
  CONSTRAINT fk_consents_customers FOREIGN KEY (tenant_id, customer_id) REFERENCES customer.customers,
  CONSTRAINT ck_consents_purpose CHECK (purpose IN ('marketing', 'expiry_warnings', 'insights'))
);
COMMENT ON TABLE customer.consents IS 'Every decision of a customer; the latest of a purpose holds.';

CREATE TABLE customer.preferences (
  tenant_id   text NOT NULL,
  customer_id text NOT NULL,
  name        text NOT NULL,
  value       text NOT NULL,
  CONSTRAINT pk_preferences PRIMARY KEY (tenant_id, customer_id, name),
  CONSTRAINT fk_preferences_customers FOREIGN KEY (tenant_id, customer_id) REFERENCES customer.customers
);
COMMENT ON TABLE customer.preferences IS 'What a customer chose, such as the store that is theirs.';
