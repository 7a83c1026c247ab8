CREATE TRIGGER events_append_only BEFORE UPDATE OR DELETE ON analytics.events
  FOR EACH ROW EXECUTE FUNCTION billing.refuse_change();
CREATE TRIGGER events_no_truncate BEFORE TRUNCATE ON analytics.events
  FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change();
ALTER TABLE analytics.events ENABLE ALWAYS TRIGGER events_append_only;
ALTER TABLE analytics.events ENABLE ALWAYS TRIGGER events_no_truncate;

-- A session of the app role sees one tenant, the one it has named; unnamed, it sees nothing. Intake
-- and the sweeps name '*'.
DO $$
DECLARE
  guarded text;
BEGIN
  FOREACH guarded IN ARRAY ARRAY['tenants', 'events', 'quarantine', 'buckets', 'sketches',
                                 'raw_files', 'report_readers', 'reports'] LOOP
    EXECUTE format('ALTER TABLE analytics.%I ENABLE ROW LEVEL SECURITY', guarded);
    EXECUTE format($p$CREATE POLICY one_tenant ON analytics.%I
      USING (tenant_id = (SELECT current_setting('billfleet.tenant', true))
             OR (SELECT current_setting('billfleet.tenant', true)) = '*')$p$, guarded);
  END LOOP;
END
$$;

GRANT USAGE ON SCHEMA analytics TO billfleet_app;
GRANT SELECT, INSERT, UPDATE ON analytics.tenants TO billfleet_app;
GRANT SELECT, UPDATE ON analytics.books, analytics.export_mark TO billfleet_app;
GRANT SELECT ON analytics.events TO billfleet_app;
GRANT INSERT (tenant_id, source, event_id, payload_hash, name, occurred_at, stored_at, hour_start,
  local_day, brand_id, store_id, customer_id, amount_minor, currency, properties)
  ON analytics.events TO billfleet_app;
GRANT SELECT, INSERT ON analytics.quarantine TO billfleet_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON analytics.buckets, analytics.sketches TO billfleet_app;
GRANT SELECT, INSERT, UPDATE ON analytics.raw_files, analytics.reports TO billfleet_app;
GRANT SELECT, INSERT, DELETE ON analytics.report_readers TO billfleet_app;

RESET ROLE;
