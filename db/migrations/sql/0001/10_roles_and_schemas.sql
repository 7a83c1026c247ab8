-- Two roles. The owner holds every schema and table and is nobody's login; the app role is what
-- workers log in as. The app role owns nothing, so it can neither drop a trigger nor grant itself
-- what it lacks.
DO $$
BEGIN
  CREATE ROLE billfleet_owner NOLOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END
$$;

DO $$
BEGIN
  CREATE ROLE billfleet_app LOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END
$$;

-- On a managed PostgreSQL the migrating login is no superuser and may act as the owner only once
-- it is a member of that role.
DO $$
BEGIN
  IF NOT pg_has_role(current_user, 'billfleet_owner', 'MEMBER') THEN
    EXECUTE format('GRANT billfleet_owner TO %I', current_user);
  END IF;
END
$$;

CREATE SCHEMA customer AUTHORIZATION billfleet_owner;
CREATE SCHEMA business AUTHORIZATION billfleet_owner;
CREATE SCHEMA billing AUTHORIZATION billfleet_owner;
CREATE SCHEMA fleet AUTHORIZATION billfleet_owner;

SET LOCAL ROLE billfleet_owner;

COMMENT ON SCHEMA customer IS 'Who is billed.';
COMMENT ON SCHEMA business IS 'Who bills: tenants, and the plans that they sell.';
COMMENT ON SCHEMA billing IS 'What is owed and what was paid: accounts, bills, attempts, and the ledger.';
COMMENT ON SCHEMA fleet IS 'What the fleet needs for itself: the outbox.';

-- One function makes a table append-only. Its triggers are ENABLE ALWAYS, because ordinary triggers
-- sleep under session_replication_role = replica, and row triggers never see TRUNCATE.
CREATE FUNCTION billing.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% of %.% is refused: its rows are never changed; post a reversal instead',
      TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
    USING ERRCODE = 'restrict_violation',
          CONSTRAINT = 'append_only_' || TG_TABLE_NAME,
          SCHEMA = TG_TABLE_SCHEMA,
          TABLE = TG_TABLE_NAME;
END
$$;

-- A zone that PostgreSQL cannot convert to would fail every sweep that meets the row, so the row is
-- refused at the door instead.
CREATE FUNCTION business.refuse_unknown_time_zone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM now() AT TIME ZONE NEW.time_zone;
  RETURN NEW;
EXCEPTION WHEN invalid_parameter_value THEN
  RAISE EXCEPTION 'time zone % is not an IANA time zone', quote_literal(NEW.time_zone)
    USING ERRCODE = 'check_violation',
          CONSTRAINT = 'ck_' || TG_TABLE_NAME || '_time_zone',
          SCHEMA = TG_TABLE_SCHEMA,
          TABLE = TG_TABLE_NAME;
END
$$;
