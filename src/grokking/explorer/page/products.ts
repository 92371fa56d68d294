// Products of matrices, four numbers at a time: AssemblyScript, compiled to products.wasm by
//   npx --package assemblyscript@0.28.20 asc products.ts -o products.wasm -O3 --enable simd --runtime stub
// A matrix is an address of float32 numbers, row by row; numbers of rows and columns are multiples of 4.

/** C = A B, of rows × inner and inner × columns. */
export function multiply(A: usize, B: usize, C: usize, rows: i32, inner: i32, columns: i32): void {
  const rowA = <usize>inner << 2, rowB = <usize>columns << 2;
  for (let i = 0; i < rows; i += 4) {
    const a0 = A + <usize>i * rowA, a1 = a0 + rowA, a2 = a1 + rowA, a3 = a2 + rowA;
    for (let j: usize = 0; j < rowB; j += 16) {
      let c0 = f32x4.splat(0), c1 = c0, c2 = c0, c3 = c0, b = B + j;
      for (let k: usize = 0; k < rowA; k += 4, b += rowB) {
        const four = v128.load(b);
        c0 = f32x4.add(c0, f32x4.mul(v128.load32_splat(a0 + k), four));
        c1 = f32x4.add(c1, f32x4.mul(v128.load32_splat(a1 + k), four));
        c2 = f32x4.add(c2, f32x4.mul(v128.load32_splat(a2 + k), four));
        c3 = f32x4.add(c3, f32x4.mul(v128.load32_splat(a3 + k), four));
      }
      const c = C + <usize>i * rowB + j;
      v128.store(c, c0); v128.store(c + rowB, c1); v128.store(c + 2 * rowB, c2); v128.store(c + 3 * rowB, c3);
    }
  }
}

/** C += Aᵀ B, of inner × rows and inner × columns. */
export function addTransposedProduct(A: usize, B: usize, C: usize, inner: i32, rows: i32, columns: i32): void {
  const rowA = <usize>rows << 2, rowB = <usize>columns << 2;
  for (let i: usize = 0; i < rowA; i += 16) {
    for (let j: usize = 0; j < rowB; j += 16) {
      const c = C + (i >> 2) * rowB + j;
      let c0 = v128.load(c), c1 = v128.load(c + rowB), c2 = v128.load(c + 2 * rowB), c3 = v128.load(c + 3 * rowB);
      let a = A + i, b = B + j;
      for (let k = 0; k < inner; k++, a += rowA, b += rowB) {
        const four = v128.load(b);
        c0 = f32x4.add(c0, f32x4.mul(v128.load32_splat(a), four));
        c1 = f32x4.add(c1, f32x4.mul(v128.load32_splat(a + 4), four));
        c2 = f32x4.add(c2, f32x4.mul(v128.load32_splat(a + 8), four));
        c3 = f32x4.add(c3, f32x4.mul(v128.load32_splat(a + 12), four));
      }
      v128.store(c, c0); v128.store(c + rowB, c1); v128.store(c + 2 * rowB, c2); v128.store(c + 3 * rowB, c3);
    }
  }
}
