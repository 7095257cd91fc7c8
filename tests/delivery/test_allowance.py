from streaming.delivery.allowance import MAX_MISTAKES, Allowance, Mistakes


class TestAllowance:
    def test_lets_a_burst_through_and_then_the_rate(self):
        allowance = Allowance(100.0, per_second=10, burst=5)
        assert [allowance.spend(100.0) for _ in range(6)] == [True] * 5 + [False]
        assert allowance.spend(100.11)
        assert not allowance.spend(100.11)

    def test_is_spent_by_what_a_message_costs(self):
        allowance = Allowance(100.0, per_second=10, burst=5)
        assert allowance.spend(100.0, 4)
        assert not allowance.spend(100.0, 4)
        assert allowance.spend(100.0)

    def test_saves_no_more_than_a_burst(self):
        allowance = Allowance(100.0, per_second=10, burst=5)
        assert [allowance.spend(900.0) for _ in range(6)] == [True] * 5 + [False]


class TestMistakes:
    def test_the_twentieth_in_a_minute_is_one_too_many(self):
        mistakes = Mistakes()
        assert [mistakes.add(100.0 + n) for n in range(MAX_MISTAKES)] == [False] * 19 + [True]

    def test_old_ones_are_forgotten(self):
        mistakes = Mistakes()
        assert not any(mistakes.add(100.0 + 4 * n) for n in range(100))
