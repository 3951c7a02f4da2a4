// What summing-kernel.ts uses of a global that Node has and its types leave to the browser's.

declare namespace WebAssembly {
  class Memory {
    constructor(descriptor: { readonly initial: number })
    /** 64 KiB a page. */
    readonly buffer: ArrayBuffer
  }
  type Module = object
  const Module: new (bytes: Uint8Array) => Module
  class Instance {
    constructor(module: Module, imports: Record<string, Record<string, Memory>>)
    /** Functions of numbers: our modules export nothing else. */
    readonly exports: Readonly<Record<string, ((...args: number[]) => void) | undefined>>
  }
}
