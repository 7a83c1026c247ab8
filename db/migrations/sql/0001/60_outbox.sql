CREATE TABLE fleet.outbox (
  outbox_id  bigint GENERATED ALWAYS AS IDENTITY,
  tenant_id  text NOT NULL,
  event_id   text NOT NULL,
  event_type text NOT NULL,
  route_kind text NOT NULL,
  route_name text NOT NULL,
  group_id   text,
  dedupe_key text NOT NULL,
  body       text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  sent_at    timestamptz,
  refusals   integer NOT NULL DEFAULT 0,
  refused    text,
  try_at     timestamptz,
  CONSTRAINT pk_outbox PRIMARY KEY (outbox_id),
  CONSTRAINT uq_outbox_event_id UNIQUE (event_id),
  CONSTRAINT ck_outbox_route_kind CHECK (route_kind IN ('queue', 'topic'))
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);
COMMENT ON TABLE fleet.outbox IS 'Events that must leave because their transaction committed. The relay sends them and prunes them later.';
COMMENT ON COLUMN fleet.outbox.refused IS 'Why SQS or SNS last refused it; it is tried again at try_at, and others pass it by.';

CREATE INDEX ix_outbox_unsent ON fleet.outbox (outbox_id) WHERE sent_at IS NULL;
CREATE INDEX ix_outbox_sent_at ON fleet.outbox (sent_at) WHERE sent_at IS NOT NULL;

CREATE FUNCTION fleet.announce_outbox() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('billfleet_outbox', '');
  RETURN NULL;
END
$$;
CREATE TRIGGER outbox_announce AFTER INSERT ON fleet.outbox
  FOR EACH STATEMENT EXECUTE FUNCTION fleet.announce_outbox();

CREATE FUNCTION fleet.refuse_loss() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'outbox row % has not been sent and cannot be deleted', OLD.outbox_id
    USING ERRCODE = 'restrict_violation',
          CONSTRAINT = 'unsent_outbox',
          SCHEMA = TG_TABLE_SCHEMA,
          TABLE = TG_TABLE_NAME;
END
$$;
CREATE TRIGGER outbox_keep_unsent BEFORE DELETE ON fleet.outbox
  FOR EACH ROW WHEN (OLD.sent_at IS NULL) EXECUTE FUNCTION fleet.refuse_loss();
