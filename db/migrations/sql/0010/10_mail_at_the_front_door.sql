-- What the front door tells of mails, and what a reader of a mail may decide there.
SET LOCAL ROLE billfleet_owner;

DO $$
DECLARE
  guarded text;
BEGIN
  FOREACH guarded IN ARRAY ARRAY['mail.requests', 'mail.mails', 'mail.suppressions',
                                 'customer.consents'] LOOP
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', guarded);
    EXECUTE format('CREATE POLICY every_tenant ON %s TO billfleet_app USING (true)', guarded);
    EXECUTE format($p$CREATE POLICY one_tenant ON %s TO billfleet_gateway
      USING (tenant_id = (SELECT current_setting('billfleet.tenant', true)))$p$, guarded);
  END LOOP;
END
$$;

GRANT USAGE ON SCHEMA mail TO billfleet_gateway;
GRANT SELECT ON mail.requests TO billfleet_gateway;
GRANT SELECT (tenant_id, mail_id, mail_key, state, reason, sent_at) ON mail.mails
  TO billfleet_gateway;
GRANT SELECT, INSERT ON customer.consents TO billfleet_gateway;

RESET ROLE;
