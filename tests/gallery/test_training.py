import numpy as np
import pytest

from gallery.training import Dataset, Training, draw_training
from streaming.engine.frames import to_svg


@pytest.fixture(scope="module")
def training():
    training = Training(Dataset.IRIS, seed=1)
    for _ in range(60):
        training.learn(0.05)
    return training


class TestTraining:
    def test_learns(self, training):
        assert training.losses[-1] < 0.6 * training.losses[0]
        assert training.accuracies[-1] > 0.8
        assert training.held_out[-1] > 0.65

    @pytest.mark.parametrize(
        ("dataset", "classes"), [("iris", 3), ("wine", 3), ("breast_cancer", 2)]
    )
    def test_every_data_set_is_split(self, dataset, classes):
        training = Training(Dataset(dataset), seed=2)
        training.learn(0.01)
        assert len(np.unique(training.labels)) == classes
        assert len(training.held_out_points) == pytest.approx(len(training.points) / 3, rel=0.05)

    def test_a_rate_of_nearly_nothing_learns_nearly_nothing(self, training):
        slow = Training(Dataset.IRIS, seed=1)
        for _ in range(60):
            slow.learn(0.001)
        assert slow.losses[-1] > 1.5 * training.losses[-1]

    def test_the_same_seed_gives_the_same_training(self, training):
        again = Training(Dataset.IRIS, seed=1)
        for _ in range(60):
            again.learn(0.05)
        assert again.losses == training.losses

    def test_regions_are_those_of_the_class_that_leads(self, training):
        leads = training.leads(training.points)
        assert np.array_equal(leads.argmax(axis=1), training.classify(training.points))
        assert ((leads > 0).sum(axis=1) == 1).all()


class TestFigure:
    def test_is_small_and_has_all_points(self, training):
        svg = to_svg(draw_training(training, 150))
        assert len(svg) < 150_000
        assert svg.count(b"<use ") > 150

    def test_of_the_largest_data_set_is_small(self):
        training = Training(Dataset.BREAST_CANCER, seed=1)
        training.learn(0.02)
        assert len(to_svg(draw_training(training, 1))) < 150_000
