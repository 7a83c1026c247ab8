-- What happened stays: rules, transactions and movements are append-only for every role.
DO $$
DECLARE
  kept text;
BEGIN
  FOREACH kept IN ARRAY ARRAY['programme_rules', 'transactions', 'movements'] LOOP
    EXECUTE format('CREATE TRIGGER %1$I BEFORE UPDATE OR DELETE ON loyalty.%2$I
      FOR EACH ROW EXECUTE FUNCTION billing.refuse_change()', kept || '_append_only', kept);
    EXECUTE format('CREATE TRIGGER %1$I BEFORE TRUNCATE ON loyalty.%2$I
      FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change()', kept || '_no_truncate', kept);
    EXECUTE format('ALTER TABLE loyalty.%2$I ENABLE ALWAYS TRIGGER %1$I', kept || '_append_only', kept);
    EXECUTE format('ALTER TABLE loyalty.%2$I ENABLE ALWAYS TRIGGER %1$I', kept || '_no_truncate', kept);
  END LOOP;
END
$$;

-- A session of the app role sees one tenant, the one it has named; unnamed, it sees nothing. The
-- sweep and the audit name '*'.
DO $$
DECLARE
  guarded text;
BEGIN
  FOREACH guarded IN ARRAY ARRAY['programmes', 'programme_rules', 'rewards', 'cards', 'transactions',
                                 'lots', 'movements', 'vouchers'] LOOP
    EXECUTE format('ALTER TABLE loyalty.%I ENABLE ROW LEVEL SECURITY', guarded);
    EXECUTE format($p$CREATE POLICY one_tenant ON loyalty.%I
      USING (tenant_id = (SELECT current_setting('billfleet.tenant', true))
             OR (SELECT current_setting('billfleet.tenant', true)) = '*')$p$, guarded);
  END LOOP;
END
$$;

GRANT USAGE ON SCHEMA loyalty TO billfleet_app;
GRANT SELECT, INSERT, UPDATE ON business.brands, business.stores, business.staff, customer.preferences
  TO billfleet_app;
GRANT SELECT, INSERT ON customer.consents TO billfleet_app;

GRANT SELECT, INSERT, UPDATE ON loyalty.programmes, loyalty.rewards TO billfleet_app;
GRANT SELECT, INSERT ON loyalty.programme_rules, loyalty.transactions TO billfleet_app;
GRANT SELECT ON loyalty.movements, loyalty.cards, loyalty.lots, loyalty.vouchers TO billfleet_app;
GRANT INSERT (tenant_id, card_id, transaction_id, lot_id, kind, quantity, moved_at)
  ON loyalty.movements TO billfleet_app;
GRANT INSERT, UPDATE (debt_points, stamps) ON loyalty.cards TO billfleet_app;
GRANT INSERT, UPDATE (spent, expired, reversed, remaining, voided, owed) ON loyalty.lots TO billfleet_app;
GRANT INSERT, UPDATE (state, used_by) ON loyalty.vouchers TO billfleet_app;

RESET ROLE;
