SET LOCAL ROLE billfleet_owner;

CREATE TABLE analytics.zones (
  tenant_id text NOT NULL,
  since     timestamptz NOT NULL,
  time_zone text NOT NULL,
  CONSTRAINT pk_zones PRIMARY KEY (tenant_id, since),
  CONSTRAINT fk_zones_tenants FOREIGN KEY (tenant_id) REFERENCES analytics.tenants
);
COMMENT ON TABLE analytics.zones IS 'The zones that a tenant moved to after its first. Events stored from `since` on are counted by that clock, and reports as of then speak of its days; what was counted before stays where it was.';
COMMENT ON TABLE analytics.tenants IS 'How a tenant''s events are counted. The zone is the one its first event was counted in; analytics.zones has the later ones.';

ALTER TABLE analytics.zones ENABLE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON analytics.zones
  USING (tenant_id = (SELECT current_setting('billfleet.tenant', true))
         OR (SELECT current_setting('billfleet.tenant', true)) = '*');
GRANT SELECT, INSERT ON analytics.zones TO billfleet_app;

COMMENT ON TABLE analytics.events IS 'Every event that was counted. Its key is what makes a second one a duplicate, however late it comes; rows are never changed and never removed.';

RESET ROLE;
