// PyTorch, asked whether it reads the same from a checkpoint as what we made of it.

import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const PYTHON = process.env['STRONGROOM_PYTHON'] ?? 'python3'

// One line a file: its path, the path of what was made of it, and the root. Verdicts go out one a line.
const SCRIPT = `
import json, sys, warnings, torch, safetensors.torch
warnings.simplefilter('ignore')

def tensors(name, value):
    if isinstance(value, torch.Tensor):
        yield name, value
    elif isinstance(value, dict):
        for key, child in value.items():
            yield from tensors(f'{name}.{key}' if name else str(key), child)
    elif isinstance(value, (list, tuple)):
        for i, child in enumerate(value):
            yield from tensors(f'{name}.{i}' if name else str(i), child)

def raw(tensor):
    tensor = tensor.detach().contiguous().flatten()
    return bytes(tensor.view(torch.uint8).numpy()) if tensor.numel() else b''

def load(path):
    try:
        return torch.load(path, map_location='cpu', weights_only=True)
    except Exception:
        # Bytes of protocol 3. Whatever is converted names only what is known.
        return torch.load(path, map_location='cpu', weights_only=False)

def verdict(path, made, root):
    try:
        value = load(path)
    except Exception as error:
        return f'torch refuses it: {type(error).__name__} {str(error)[:300]}'
    for key in root.split('.') if root else []:
        value = value[key]
    theirs = dict(tensors('', value))
    ours = safetensors.torch.load_file(made)
    if sorted(theirs) != sorted(ours):
        return f'other names: {sorted(theirs)} in torch, {sorted(ours)} here'
    for name, tensor in ours.items():
        their = theirs[name]
        if (tensor.dtype, tensor.shape) != (their.dtype, their.shape) or raw(tensor) != raw(their):
            return f'another {name}: {their} in torch, {tensor} here'
    return ''

with open(sys.argv[1]) as cases, open(sys.argv[2], 'w') as verdicts:
    for line in cases:
        verdicts.write(json.dumps(verdict(*json.loads(line))) + '\\n')
`

export interface Case {
  readonly path: string
  readonly made: string
  readonly root: string
}

/** Whether Python is on this machine, with PyTorch and safetensors. */
export const hasOracle = (): boolean =>
  spawnSync(PYTHON, ['-c', 'import torch, safetensors.torch']).status === 0

/** How PyTorch differs in each; empty where it doesn't. */
export function askOracle(cases: readonly Case[], folder: string): readonly string[] {
  if (cases.length === 0) return []
  const [asked, verdicts] = [join(folder, 'cases'), join(folder, 'verdicts')]
  writeFileSync(asked, cases.map(({ path, made, root }) => `${JSON.stringify([path, made, root])}\n`).join('')) // prettier-ignore
  const run = spawnSync(PYTHON, ['-c', SCRIPT, asked, verdicts], { encoding: 'utf8' })
  if (run.status !== 0) throw new Error(`PyTorch failed: ${run.stderr}`)
  return readFileSync(verdicts, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as string)
}
