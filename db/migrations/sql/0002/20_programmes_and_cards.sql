CREATE TABLE loyalty.programmes (
  tenant_id    text NOT NULL,
  programme_id text NOT NULL,
  brand_id     text NOT NULL,
  name         text NOT NULL,
  created_at   timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT pk_programmes PRIMARY KEY (tenant_id, programme_id),
  CONSTRAINT uq_programmes_brand UNIQUE (tenant_id, programme_id, brand_id),
  CONSTRAINT fk_programmes_brands FOREIGN KEY (tenant_id, brand_id) REFERENCES business.brands
);
COMMENT ON TABLE loyalty.programmes IS 'A promise of a brand to those who come back.';

CREATE TABLE loyalty.programme_rules (
  tenant_id    text NOT NULL,
  programme_id text NOT NULL,
  version      integer NOT NULL,
  valid_from   timestamptz NOT NULL,
  rules        jsonb NOT NULL,
  work_id      text NOT NULL,
  created_at   timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT pk_programme_rules PRIMARY KEY (tenant_id, programme_id, version),
  CONSTRAINT uq_programme_rules_valid_from UNIQUE (tenant_id, programme_id, valid_from),
  CONSTRAINT fk_programme_rules_programmes FOREIGN KEY (tenant_id, programme_id)
    REFERENCES loyalty.programmes,
  CONSTRAINT ck_programme_rules_version CHECK (version >= 1),
  CONSTRAINT ck_programme_rules_rules CHECK (jsonb_typeof(rules) = 'object')
);
COMMENT ON TABLE loyalty.programme_rules IS 'Versions of a programme. A purchase follows the latest that was valid when it happened; rows are never changed.';

CREATE TABLE loyalty.rewards (
  tenant_id    text NOT NULL,
  programme_id text NOT NULL,
  reward_id    text NOT NULL,
  name         text NOT NULL,
  points       bigint,
  stock        bigint,
  tiers        text[] NOT NULL DEFAULT '{}',
  starts_at    timestamptz,
  ends_at      timestamptz,
  per_card_max integer,
  created_at   timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT pk_rewards PRIMARY KEY (tenant_id, programme_id, reward_id),
  CONSTRAINT fk_rewards_programmes FOREIGN KEY (tenant_id, programme_id) REFERENCES loyalty.programmes,
  CONSTRAINT ck_rewards_points CHECK (points >= 1),
  CONSTRAINT ck_rewards_stock CHECK (stock >= 0),
  CONSTRAINT ck_rewards_per_card_max CHECK (per_card_max >= 1)
);
COMMENT ON COLUMN loyalty.rewards.points IS 'The price; NULL: only for vouchers of full stamp cards.';
COMMENT ON COLUMN loyalty.rewards.stock IS 'How many are left; NULL: as many as are asked for.';
COMMENT ON COLUMN loyalty.rewards.tiers IS 'Only for cards of one of these tiers; empty: for all.';

CREATE TABLE loyalty.cards (
  tenant_id    text NOT NULL,
  card_id      text NOT NULL,
  programme_id text NOT NULL,
  customer_id  text NOT NULL,
  debt_points  bigint NOT NULL DEFAULT 0,
  stamps       bigint NOT NULL DEFAULT 0,
  created_at   timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT pk_cards PRIMARY KEY (tenant_id, card_id),
  CONSTRAINT uq_cards_programme UNIQUE (tenant_id, card_id, programme_id),
  CONSTRAINT fk_cards_programmes FOREIGN KEY (tenant_id, programme_id) REFERENCES loyalty.programmes,
  CONSTRAINT fk_cards_customers FOREIGN KEY (tenant_id, customer_id) REFERENCES customer.customers,
  CONSTRAINT ck_cards_card_id CHECK (card_id ~ '^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$'),
  CONSTRAINT ck_cards_debt_points CHECK (debt_points >= 0)
);
COMMENT ON COLUMN loyalty.cards.debt_points IS 'Points of cancelled purchases that had been spent; later earnings pay them back.';
COMMENT ON COLUMN loyalty.cards.stamps IS 'Stamps towards the next full card; below zero where stamps were taken back that had filled one.';
CREATE INDEX ix_cards_customer ON loyalty.cards (tenant_id, customer_id);
