"""What users of PyTorch do with networks: export, ONNX, a loop of their own, compilation."""

import keras
import numpy as np
import pytest
from helpers.layers import feature_map, small_network, with_random_weights

from aa_keras.layers import AttentionAugmentedConv2D

if keras.backend.backend() != "torch":
    pytest.skip("PyTorch's own tools", allow_module_level=True)

import torch

pytestmark = pytest.mark.backend

IMPLEMENTATIONS = ["auto", "dense", "blockwise"]


@pytest.fixture(params=IMPLEMENTATIONS)
def model(request):
    return small_network(request.param).eval()


@pytest.fixture
def inputs():
    return torch.from_numpy(feature_map(2, 6, 4, 3))


def test_export_of_one_batch_size(model, inputs):
    exported = torch.export.export(model, (inputs,)).module()
    torch.testing.assert_close(exported(inputs), model(inputs), rtol=0, atol=1e-6)


@pytest.mark.parametrize("implementation", ["auto", "dense"])
def test_export_with_a_batch_of_any_size(implementation, inputs):
    model = small_network(implementation).eval()
    batch = torch.export.Dim("batch")
    exported = torch.export.export(model, (inputs,), dynamic_shapes=(({0: batch},),)).module()
    for images in (inputs, inputs.repeat(3, 1, 1, 1)):
        torch.testing.assert_close(exported(images), model(images), rtol=0, atol=1e-6)


@pytest.mark.filterwarnings("ignore")  # TorchScript's own, of Keras
def test_onnx_through_keras(model, inputs, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    model(inputs)  # Keras exports no model that was never called
    model.export(tmp_path / "model.onnx", format="onnx", verbose=False)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    for images in (inputs, inputs.repeat(3, 1, 1, 1)):
        (outputs,) = session.run(None, {session.get_inputs()[0].name: images.numpy()})
        np.testing.assert_allclose(outputs, model(images).detach().numpy(), atol=1e-5)


def test_a_plain_training_loop(model, inputs):
    labels = torch.tensor([0, 2])
    model.train()
    assert len(list(model.parameters())) == len(model.trainable_variables)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    losses = []
    for _ in range(10):
        optimizer.zero_grad()
        losses.append(torch.nn.functional.cross_entropy(model(inputs), labels))
        losses[-1].backward()
        assert all(weight.grad is not None for weight in model.parameters())
        optimizer.step()
    assert losses[-1] < 0.5 * losses[0]
    copy = small_network().eval()
    assert not torch.allclose(copy(inputs), model.eval()(inputs))
    copy.load_state_dict(model.state_dict())
    torch.testing.assert_close(copy(inputs), model(inputs), rtol=0, atol=1e-6)


@pytest.mark.filterwarnings("ignore")  # Dynamo's, where it leaves a function of Keras to Python
def test_a_compiled_layer_computes_the_same(inputs):
    layer = with_random_weights(AttentionAugmentedConv2D(8, 3, num_heads=2), inputs.shape)
    gradients = []
    for function in (layer, torch.compile(layer, backend="aot_eager")):
        layer.zero_grad()
        function(inputs).square().sum().backward()
        gradients.append([weight.grad.clone() for weight in layer.parameters()])
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-4)
