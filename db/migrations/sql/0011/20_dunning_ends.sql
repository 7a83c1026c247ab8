SET LOCAL ROLE billfleet_owner;

COMMENT ON COLUMN billing.bills.next_attempt_at IS 'When collecting is due again; after a hard decline, when the account becomes INACTIVE instead. NULL when nothing will happen by itself.';

RESET ROLE;
