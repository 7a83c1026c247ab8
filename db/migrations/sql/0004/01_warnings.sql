SET LOCAL ROLE billfleet_owner;

ALTER TABLE loyalty.programmes
  ADD COLUMN warn_days integer[] NOT NULL DEFAULT '{30}',
  ADD CONSTRAINT ck_programmes_warn_days CHECK (1 <= ALL (warn_days) AND 3660 >= ALL (warn_days));
COMMENT ON COLUMN loyalty.programmes.warn_days IS 'So many days before points end their card is warned; empty: never.';

CREATE TABLE loyalty.warnings (
  tenant_id  text NOT NULL,
  card_id    text NOT NULL,
  expires_at timestamptz NOT NULL,
  warn_days  integer NOT NULL,
  points     bigint NOT NULL,
  warned_at  timestamptz NOT NULL,
  CONSTRAINT pk_warnings PRIMARY KEY (tenant_id, card_id, expires_at, warn_days),
  CONSTRAINT fk_warnings_cards FOREIGN KEY (tenant_id, card_id) REFERENCES loyalty.cards,
  CONSTRAINT ck_warnings_points CHECK (points >= 1)
);
COMMENT ON TABLE loyalty.warnings IS 'Which cards were told that points end, of which end and how long before: the key is what makes it once.';

ALTER TABLE loyalty.warnings ENABLE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON loyalty.warnings
  USING (tenant_id = (SELECT current_setting('billfleet.tenant', true))
         OR (SELECT current_setting('billfleet.tenant', true)) = '*');
GRANT SELECT, INSERT ON loyalty.warnings TO billfleet_app;

RESET ROLE;
