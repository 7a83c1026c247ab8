CREATE TABLE loyalty.transactions (
  tenant_id      text NOT NULL,
  transaction_id text NOT NULL,
  card_id        text NOT NULL,
  programme_id   text NOT NULL,
  kind           text NOT NULL,
  state          text NOT NULL,
  reason         text,
  cancels        text,
  cancel_no      integer,
  is_final       boolean,
  rules_version  integer,
  store_id       text,
  reward_id      text,
  amount_minor   bigint,
  currency       text,
  quantity       bigint,
  basis          jsonb NOT NULL DEFAULT '{}',
  request_hash   text NOT NULL,
  work_id        text NOT NULL,
  occurred_at    timestamptz NOT NULL,
  recorded_at    timestamptz NOT NULL,
  CONSTRAINT pk_transactions PRIMARY KEY (tenant_id, transaction_id),
  CONSTRAINT uq_transactions_card UNIQUE (tenant_id, card_id, transaction_id),
  CONSTRAINT uq_transactions_cancel_no UNIQUE (tenant_id, cancels, cancel_no),
  CONSTRAINT fk_transactions_cards FOREIGN KEY (tenant_id, card_id, programme_id)
    REFERENCES loyalty.cards (tenant_id, card_id, programme_id),
  CONSTRAINT fk_transactions_rules FOREIGN KEY (tenant_id, programme_id, rules_version)
    REFERENCES loyalty.programme_rules,
  CONSTRAINT fk_transactions_stores FOREIGN KEY (tenant_id, store_id) REFERENCES business.stores,
  CONSTRAINT fk_transactions_cancels FOREIGN KEY (tenant_id, card_id, cancels)
    REFERENCES loyalty.transactions (tenant_id, card_id, transaction_id),
  CONSTRAINT ck_transactions_kind CHECK (kind IN ('points', 'stamps', 'redemption', 'cancel', 'expiry')),
  CONSTRAINT ck_transactions_state CHECK (state IN ('done', 'refused')),
  CONSTRAINT ck_transactions_reason CHECK ((state = 'refused') = (reason IS NOT NULL)),
  CONSTRAINT ck_transactions_cancels
    CHECK ((kind = 'cancel' AND state = 'done') = (cancels IS NOT NULL)
           AND (cancels IS NULL) = (cancel_no IS NULL) AND (cancels IS NULL) = (is_final IS NULL))
);
COMMENT ON TABLE loyalty.transactions IS 'What was asked for, once each, with what it rested on. A refused one has changed nothing and its id is used up. Rows are never changed.';
COMMENT ON COLUMN loyalty.transactions.quantity IS 'Stamps, points of a redemption, or what a cancellation took back of the cancelled transaction.';
COMMENT ON COLUMN loyalty.transactions.basis IS 'What the rules gave and why; a partial cancellation computes from it again.';
COMMENT ON COLUMN loyalty.transactions.request_hash IS 'What was asked for: the same id with another request is refused.';

-- A transaction is cancelled to its end once, whatever the number of partial cancellations.
CREATE UNIQUE INDEX uq_transactions_final_cancel ON loyalty.transactions (tenant_id, cancels)
  WHERE is_final;
CREATE INDEX ix_transactions_card ON loyalty.transactions (tenant_id, card_id, recorded_at);

CREATE TABLE loyalty.lots (
  tenant_id    text NOT NULL,
  lot_id       text NOT NULL,
  card_id      text NOT NULL,
  priority     integer NOT NULL,
  issued       bigint NOT NULL,
  spent        bigint NOT NULL DEFAULT 0,
  expired      bigint NOT NULL DEFAULT 0,
  reversed     bigint NOT NULL DEFAULT 0,
  remaining    bigint NOT NULL,
  voided       bigint NOT NULL DEFAULT 0,
  owed         bigint NOT NULL DEFAULT 0,
  issued_at    timestamptz NOT NULL,
  earned_on    date,
  available_at timestamptz NOT NULL,
  expires_at   timestamptz,
  CONSTRAINT pk_lots PRIMARY KEY (tenant_id, lot_id),
  CONSTRAINT uq_lots_card UNIQUE (tenant_id, card_id, lot_id),
  CONSTRAINT fk_lots_transactions FOREIGN KEY (tenant_id, card_id, lot_id)
    REFERENCES loyalty.transactions (tenant_id, card_id, transaction_id),
  CONSTRAINT ck_lots_issued CHECK (issued >= 1),
  CONSTRAINT ck_lots_parts CHECK (spent >= 0 AND expired >= 0 AND reversed >= 0 AND remaining >= 0),
  CONSTRAINT ck_lots_sum CHECK (issued = spent + expired + reversed + remaining),
  CONSTRAINT ck_lots_cancelled
    CHECK (voided BETWEEN 0 AND expired AND owed >= 0 AND reversed + voided + owed <= issued)
);
COMMENT ON TABLE loyalty.lots IS 'Points that one transaction issued: they are spent, expire and are taken back together. The lot has the id of its transaction.';
COMMENT ON COLUMN loyalty.lots.earned_on IS 'The tenant''s day that a daily cap counts it on; NULL: not earned but granted, and no tier counts it.';
COMMENT ON COLUMN loyalty.lots.voided IS 'Points asked back by cancellations that had expired by then: nothing was taken.';
COMMENT ON COLUMN loyalty.lots.owed IS 'Points asked back by cancellations that had been spent by then: they became a debt of the card.';
CREATE INDEX ix_lots_open ON loyalty.lots (tenant_id, card_id) WHERE remaining > 0;
CREATE INDEX ix_lots_expiring ON loyalty.lots (tenant_id, expires_at, card_id) WHERE remaining > 0 AND expires_at IS NOT NULL;
CREATE INDEX ix_lots_earned ON loyalty.lots (tenant_id, card_id, earned_on);

CREATE TABLE loyalty.movements (
  movement_id    bigint GENERATED ALWAYS AS IDENTITY,
  tenant_id      text NOT NULL,
  card_id        text NOT NULL,
  transaction_id text NOT NULL,
  lot_id         text,
  kind           text NOT NULL,
  quantity       bigint NOT NULL,
  moved_at       timestamptz NOT NULL,
  CONSTRAINT pk_movements PRIMARY KEY (movement_id),
  CONSTRAINT uq_movements_once UNIQUE NULLS NOT DISTINCT (tenant_id, transaction_id, kind, lot_id),
  CONSTRAINT fk_movements_transactions FOREIGN KEY (tenant_id, card_id, transaction_id)
    REFERENCES loyalty.transactions (tenant_id, card_id, transaction_id),
  CONSTRAINT fk_movements_lots FOREIGN KEY (tenant_id, card_id, lot_id)
    REFERENCES loyalty.lots (tenant_id, card_id, lot_id),
  CONSTRAINT ck_movements_kind CHECK (kind IN ('issue', 'spend', 'recover', 'return', 'expire',
    'reverse', 'void', 'debt', 'stamp', 'unstamp', 'complete', 'reopen')),
  CONSTRAINT ck_movements_lot
    CHECK ((kind IN ('stamp', 'unstamp', 'complete', 'reopen')) = (lot_id IS NULL)),
  CONSTRAINT ck_movements_quantity CHECK (quantity >= 1)
);
COMMENT ON TABLE loyalty.movements IS 'Every movement of points between the parts of a lot, and of stamps on a card. Rows are never changed.';
CREATE INDEX ix_movements_card ON loyalty.movements (tenant_id, card_id, movement_id);
CREATE INDEX ix_movements_lot ON loyalty.movements (tenant_id, lot_id) WHERE lot_id IS NOT NULL;

CREATE TABLE loyalty.vouchers (
  tenant_id    text NOT NULL,
  voucher_id   text NOT NULL,
  card_id      text NOT NULL,
  reward_id    text NOT NULL,
  issued_by    text NOT NULL,
  stamps       integer NOT NULL,
  state        text NOT NULL DEFAULT 'open',
  used_by      text,
  issued_at    timestamptz NOT NULL,
  CONSTRAINT pk_vouchers PRIMARY KEY (tenant_id, voucher_id),
  CONSTRAINT fk_vouchers_issued_by FOREIGN KEY (tenant_id, card_id, issued_by)
    REFERENCES loyalty.transactions (tenant_id, card_id, transaction_id),
  CONSTRAINT fk_vouchers_used_by FOREIGN KEY (tenant_id, card_id, used_by)
    REFERENCES loyalty.transactions (tenant_id, card_id, transaction_id),
  CONSTRAINT ck_vouchers_state CHECK (state IN ('open', 'used', 'void')),
  CONSTRAINT ck_vouchers_used CHECK ((state = 'used') = (used_by IS NOT NULL)),
  CONSTRAINT ck_vouchers_stamps CHECK (stamps >= 1)
);
COMMENT ON TABLE loyalty.vouchers IS 'A full stamp card, good for one reward.';
CREATE INDEX ix_vouchers_card ON loyalty.vouchers (tenant_id, card_id) WHERE state = 'open';
